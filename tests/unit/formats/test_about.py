"""Summary, chapters and action items in the formats: escaped, at the top, and absent without them."""

import io
import zipfile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.edits.apply import apply_edits
from shared.formats.chapters import render_chapters, render_ffmetadata
from shared.formats.docx import render_docx
from shared.formats.html import render_html
from shared.formats.md import render_md
from shared.formats.style import Style
from shared.schemas.summary import ActionItem, Chapter
from shared.schemas.transcript import Transcript
from shared.schemas.transcript_edits import TranscriptEdits
from tests.support.summaries.chat import transcript_of

PLAIN = transcript_of(["Hello there.", "Goodbye."])
HOSTILE = "<b>a</b> --> [x](http://evil.test) = ; # \\ & b"
ABOUT = msgspec.structs.replace(
    PLAIN,
    summary=f"First.\n{HOSTILE}",
    chapters=(
        Chapter(start=1.0, end=11.0, title="Greeting", summary="They greet."),
        Chapter(start=11.0, end=3618.5, title=HOSTILE),
    ),
    action_items=(ActionItem(text="Answer.", start=11.0, owner="Ann"),),
)


def test_markdown_has_them_before_the_text() -> None:
    lines = [line for line in render_md(ABOUT, Style()).splitlines() if line]
    assert lines[:4] == ["# Transcript", "## Summary", "First.", lines[3]]
    assert lines[4:6] == ["## Chapters", "- (0:00:01) Greeting: They greet."]
    assert lines[7:10] == ["## Action items", "- (0:00:11) Answer. (Ann)", "## Transcript"]
    assert not any("](" in line.replace("\\]", "") or "<b>" in line for line in lines)


def test_a_page_escapes_them_and_plays_from_their_times() -> None:
    page = render_html(ABOUT, Style())
    assert page.index("Summary</h2>") < page.index("Hello")
    assert '<time data-s="11.000">0:00:11</time>' in page
    assert "<b>a</b>" not in page


def test_a_document_has_them_as_paragraphs() -> None:
    document = zipfile.ZipFile(io.BytesIO(render_docx(ABOUT, Style()))).read("word/document.xml").decode()
    assert document.index("Action items") < document.index("Hello")
    assert "0:00:01 · Greeting: They greet." in document


@pytest.mark.parametrize("render", [render_md, render_html, render_docx])
def test_nothing_changes_without_them(render: object) -> None:
    assert callable(render)
    shown = render(PLAIN, Style())
    text = shown if isinstance(shown, str) else zipfile.ZipFile(io.BytesIO(shown)).read("word/document.xml").decode()
    assert not any(heading in text for heading in ("Summary", "Chapters", "Action items"))
    assert render_chapters(PLAIN) == "WEBVTT\n"
    assert render_ffmetadata(PLAIN) == ";FFMETADATA1\n"


def test_chapters_are_webvtt_cues() -> None:
    assert render_chapters(ABOUT) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:11.000\nGreeting\n\n00:00:11.000 --> 01:00:18.500\n"
        "&lt;b&gt;a&lt;/b&gt; --&gt; [x](http://evil.test) = ; # \\ &amp; b\n"
    )


def test_ffmetadata_escapes_its_special_characters() -> None:
    assert render_ffmetadata(ABOUT).splitlines()[6:] == [
        "[CHAPTER]",
        "TIMEBASE=1/1000",
        "START=11000",
        "END=3618500",
        r"title=<b>a</b> --> [x](http://evil.test) \= \; \# \\ & b",
    ]


@given(st.text(min_size=1))
def test_a_title_is_one_line_of_a_cue(title: str) -> None:
    only = msgspec.structs.replace(PLAIN, chapters=(Chapter(start=0.0, end=1.0, title=title),))
    assert render_chapters(only).count("-->") == 1
    assert render_chapters(only).count("\n") == 4
    assert render_ffmetadata(only).count("\n") == 6


def test_edits_keep_them() -> None:
    edited = apply_edits(ABOUT, TranscriptEdits(speakers={}))
    assert (edited.summary, edited.chapters) == (ABOUT.summary, ABOUT.chapters)


def test_json_has_them_only_if_they_were_made() -> None:
    names = {"summary", "chapters", "action_items", "summarized_by"}
    assert not names & set(msgspec.to_builtins(PLAIN))
    assert msgspec.json.decode(msgspec.json.encode(ABOUT), type=Transcript) == ABOUT
