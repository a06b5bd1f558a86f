"""Markdown, HTML, Word and TextGrid."""

import base64
import hashlib
import io
import re
import zipfile
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import msgspec
import pytest

from shared.formats.docx import WORD, render_docx
from shared.formats.html import render_html
from shared.formats.md import escaped, render_md
from shared.formats.style import Recording, Style
from shared.formats.textgrid import render_textgrid
from shared.schemas.transcript import Transcript
from tests.support.ingest.spoken import one_after_another, said, transcript, untimed

HOSTILE = "</script><script>alert('x')</script> & \"quoted\" <b>"
STYLE = Style(
    recording=Recording(title="talk.mp3", filename="a talk's #1.mp3", link="https://example.com/v1/jobs/1/audio")
)


def conversation() -> Transcript:
    return transcript(*one_after_another(["Hello there.", "How are you?"], pause_s=0.5, speakers=["A", "B <i>"]))


def test_markdown_names_speakers_and_times() -> None:
    assert render_md(conversation(), STYLE) == (
        "# talk.mp3\n\n**A** (0:00:00)\n\nHello there.\n\n**B \\<i\\>** (0:00:01)\n\nHow are you?\n"
    )
    assert render_md(transcript(), STYLE) == "# talk.mp3\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# 1 *two* [x](y) `z` <b> a_b", "\\# 1 \\*two\\* \\[x\\](y) \\`z\\` \\<b\\> a\\_b"),
        ("- no list", "\\- no list"),
        ("+ no list", "\\+ no list"),
        ("1. no list", "1\\. no list"),
        ("1914) no list", "1914\\) no list"),
        ("3.5 percent", "3.5 percent"),
        ("=== no heading", "\\=== no heading"),
        ("&amp; C:\\dir", "\\&amp; C:\\\\dir"),
        ("one\n\n# two", "one \\# two"),
    ],
)
def test_markup_in_markdown_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_html_has_each_word_with_its_time() -> None:
    page = Page(render_html(conversation(), STYLE))
    assert [float(one["data-s"] or "") for one in page.all("span")] == [0.0, 0.3, 1.1, 1.4, 1.7]
    assert [text for text in page.texts["span"] if text.strip()] == ["Hello", "there.", "How", "are", "you?"]


def test_html_plays_the_file_beside_it_or_the_service() -> None:
    page = Page(render_html(conversation(), STYLE))
    assert [one["src"] for one in page.all("source")] == ["./a%20talk%27s%20%231.mp3", STYLE.recording.link]
    assert page.all("input")[0]["type"] == "file"
    assert Page(render_html(conversation(), Style())).all("source") == []


def test_html_escapes_all_text() -> None:
    hostile = Style(recording=Recording(title=HOSTILE, filename=HOSTILE, link=f'https://x/"{HOSTILE}'))
    spoken = transcript(said(HOSTILE, speaker=HOSTILE), language=HOSTILE)
    page = Page(render_html(spoken, hostile))
    plain = Page(render_html(transcript(said("a b c d e", speaker="x")), STYLE))
    assert [tag for tag, _ in page.tags if tag != "span"] == [tag for tag, _ in plain.tags if tag != "span"]
    assert "".join(page.texts["title"]).strip() == HOSTILE


def test_the_policy_of_the_page_allows_its_own_script_and_style_alone() -> None:
    page = Page(render_html(conversation(), STYLE))
    policy = str(page.all("meta")[1]["content"])
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256("".join(page.texts[name][:1]).encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_html_turns_paragraphs_of_right_to_left_scripts() -> None:
    spoken = one_after_another(["قال John نعم.", "Hello."], pause_s=3, speakers=[None, None])
    segments = [msgspec.structs.replace(one, language=code) for one, code in zip(spoken, ("ar", "en"), strict=True)]
    assert [one["dir"] for one in Page(render_html(transcript(*segments), STYLE)).all("p")] == ["rtl", "ltr"]


def word_texts(document: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ET.fromstring(archive.read(name))  # noqa: S314 - our own
        root = ET.fromstring(archive.read("word/document.xml"))  # noqa: S314 - our own
    return ["".join(one.itertext()) for one in root.iter(f"{{{WORD}}}p")]


def test_docx_has_a_title_speakers_times_and_paragraphs() -> None:
    assert word_texts(render_docx(conversation(), STYLE)) == [
        *("talk.mp3", "A · 0:00:00", "Hello there.", "B <i> · 0:00:01", "How are you?")
    ]


def test_docx_leaves_out_what_xml_forbids_and_is_the_same_each_time() -> None:
    spoken = transcript(untimed("a\x01b\ufffe & <c>\U0001f600", 0, 1))
    document = render_docx(spoken, STYLE)
    assert word_texts(document)[-1] == "ab & <c>\U0001f600"
    assert render_docx(spoken, STYLE) == document


def test_docx_marks_right_to_left_paragraphs() -> None:
    with zipfile.ZipFile(io.BytesIO(render_docx(transcript(said("مرحبا بك"), language="ar"), STYLE))) as archive:
        body = archive.read("word/document.xml").decode()
    assert body.count("<w:bidi/>") == body.count("<w:rtl/>") == 2  # not the title


def tiers_of(grid: str) -> dict[str, list[tuple[float, float, str]]]:
    tiers = {}
    for item in grid.split("    item [")[1:]:
        (name,) = re.findall(r'name = "(.*)"', item)
        found = re.findall(r'intervals \[\d+\]:\n +xmin = (\S+)\n +xmax = (\S+)\n +text = "(.*)"\n', item)
        assert int(re.findall(r"size = (\d+)", item)[0]) == len(found)
        tiers[name] = [(float(start), float(end), text) for start, end, text in found]
    return tiers


def test_textgrid_tiers_cover_the_recording_without_gaps() -> None:
    spoken = msgspec.structs.replace(conversation(), duration=5.0)
    tiers = tiers_of(render_textgrid(spoken))
    assert list(tiers) == ["words", "A", "B <i>"]
    for intervals in tiers.values():
        assert (intervals[0][0], intervals[-1][1]) == (0.0, 5.0)
        assert all(start < end for start, end, _ in intervals)
        assert all(before[1] == after[0] for before, after in pairwise(intervals))
    assert [text for _, _, text in tiers["words"] if text] == ["Hello", "there.", "How", "are", "you?"]
    assert tiers["B <i>"] == [(0.0, 1.1, ""), (1.1, 2.0, "How are you?"), (2.0, 5.0, "")]


def test_textgrid_doubles_quotes_and_keeps_words_without_a_time() -> None:
    spoken = said('He said "no" twice now')
    words = list(spoken.words)
    words[3] = msgspec.structs.replace(words[3], start=0.9, end=0.9)
    words[4] = msgspec.structs.replace(words[4], start=0.5, end=0.8)  # within others
    grid = render_textgrid(transcript(msgspec.structs.replace(spoken, words=tuple(words)), duration_s=1.5))
    assert '""no""' in grid
    texts = [text for _, _, text in tiers_of(grid)["words"] if text]
    assert sorted(" ".join(texts).split()) == sorted(["He", "said", '""no""', "twice", "now"])


def test_textgrid_of_channels_and_of_silence() -> None:
    both = transcript(said("One two", 0, channel=0), said("three", 0.1, channel=1), duration_s=2)
    assert list(tiers_of(render_textgrid(both))) == ["words 0", "words 1", "segments 0", "segments 1"]
    assert tiers_of(render_textgrid(transcript(duration_s=2))) == {"segments": [(0.0, 2.0, "")]}
    assert tiers_of(render_textgrid(transcript(untimed("x", 9, 12), duration_s=2)))["segments"][-1] == (9.0, 12.0, "x")
