"""Phrases in a transcript."""

import msgspec
import pytest

from ingest_service.formats.search import Search, SearchHit, find_phrase, folded, pattern_of
from shared.schemas.transcript import Segment, Transcript
from tests.support.ingest.spoken import said, transcript, untimed


def numbered(*segments: Segment) -> Transcript:
    return transcript(*(msgspec.structs.replace(one, id=number) for number, one in enumerate(segments)))


def hits(found: Transcript, q: str) -> list[str]:
    return [hit.text for hit in find_phrase(found, Search(q=q)).hits]


def test_a_hit_has_times_places_and_the_text_around_it() -> None:
    spoken = numbered(said("And so, my fellow Americans: ask not", speaker="A"), said("what your country can do", 3.0))
    assert find_phrase(spoken, Search(q="ASK NOT what")).hits == (
        SearchHit(
            start=1.9,
            end=3.3,
            segment=0,
            last_segment=1,
            words=(5, 0),
            text="ask not what",
            before="And so, my fellow Americans:",
            after="your country can do",
            speaker="A",
        ),
    )


@pytest.mark.parametrize(
    ("text", "q", "found"),
    [
        ("Das Café in Łódź ist schön.", "cafe in lodz", ["Café in Łódź"]),
        ("Das Cafe ist schon zu.", "Café", ["Cafe"]),
        ("STRASSE und Straße", "straße", ["STRASSE", "Straße"]),
        ("Don't, don’t and dont", "don't", ["Don't,", "don’t", "dont"]),  # noqa: RUF001 - quotes are meant
        ("a well-known e-mail", "well known", ["well-known"]),
        ("the art of the start", "art", ["art"]),
        ("the art of the artist", "art*", ["art", "artist"]),
        ("one two one two one", "one two", ["one two", "one two"]),
        ("ＡＢＣ １２３", "abc 123", ["ＡＢＣ １２３"]),  # noqa: RUF001 - full width is meant
        ("كَتَبَ الطالبُ الدرس", "كتب الطالب", ["كَتَبَ الطالبُ"]),
        ("أين الأستاذ", "اين", ["أين"]),
        ("שָׁלוֹם עולם", "שלום", ["שָׁלוֹם"]),
        ("Việt Nam", "viet nam", ["Việt Nam"]),
        ("हिन्दी में", "हिन्दी", ["हिन्दी"]),
        ("हिन्दी में", "हन्द", []),
        ("안녕하세요 여러분", "여러분", ["여러분"]),
        ("C++ is a language (really).", "c++ IS", ["C++ is"]),
        ("a.b axb", "a.b", ["a.b"]),
    ],
)
def test_what_counts(text: str, q: str, found: list[str]) -> None:
    assert hits(numbered(said(text)), q) == found


@pytest.mark.parametrize("q", ["图书馆看书", "图书馆 看书", "馆看", "图书馆,看"])
def test_chinese_is_found_without_spaces_and_inside_of_words(q: str) -> None:
    words = said("我们 今天 去 图书馆 看书。")
    segment = msgspec.structs.replace(words, text="我们今天去图书馆看书。")
    (hit,) = find_phrase(numbered(segment), Search(q=q)).hits
    assert (hit.words, hit.text, hit.before) == ((3, 4), "图书馆看书。", "我们今天去")


def test_mixed_scripts_need_no_space() -> None:
    segment = said("我 用 Python 写 代码")
    assert hits(numbered(segment), "用python写") == ["用 Python 写"]
    assert hits(numbered(segment), "用 Python 写") == ["用 Python 写"]
    assert hits(numbered(segment), "用pyth写") == []


def test_voiced_kana_are_other_letters() -> None:
    assert hits(numbered(untimed("がっこう", 0, 1)), "かっこう") == []
    assert hits(numbered(untimed("がっこう", 0, 1)), "がっこう") == ["がっこう"]


def test_a_segment_without_words_gives_its_own_time() -> None:
    (hit,) = find_phrase(numbered(untimed("one two three", 4, 7)), Search(q="two")).hits
    assert (hit.words, hit.start, hit.end, hit.before, hit.after) == (None, 4, 7, "one", "three")


def test_a_phrase_does_not_go_from_one_channel_to_another() -> None:
    spoken = numbered(said("ask", 0, channel=0), said("not", 0.3, channel=1), said("what", 0.6, channel=0))
    assert hits(spoken, "ask not") == []
    assert hits(spoken, "ask what") == ["ask what"]


def test_pages_follow_each_other_by_time() -> None:
    spoken = numbered(said("yes " * 5, 10, channel=1), said("yes " * 5, 9.9, channel=0))
    whole = find_phrase(spoken, Search(q="yes", limit=200))
    assert (whole.count, whole.next_cursor) == (10, None)
    pages: list[SearchHit] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = find_phrase(spoken, Search(q="yes", skip=int(cursor), limit=3))
        assert page.count == 10
        pages += page.hits
        cursor = page.next_cursor
    assert pages == list(whole.hits)
    assert [hit.start for hit in pages] == sorted(hit.start for hit in pages)
    assert find_phrase(spoken, Search(q="yes", skip=99)).hits == ()


@pytest.mark.parametrize("q", ["", " ", "?!", "*", "…", "\u0301"])
def test_a_phrase_without_letters_finds_nothing(q: str) -> None:
    assert pattern_of(q) is None
    assert hits(numbered(said("Hello? *")), q) == []


def test_words_without_letters_are_skipped() -> None:
    spoken = numbered(said("yes & no … maybe"))
    assert hits(spoken, "yes no maybe") == ["yes & no … maybe"]
    assert folded("&") == ""
