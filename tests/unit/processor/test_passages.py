"""Passages keep the text and the times of their segments, and have one language each."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processor_service.stages.passages import MOST_CHARS, passages_of
from shared.full_text import indexed, searched
from shared.schemas.transcript import Segment
from tests.support.ingest.spoken import transcript

WORDS = st.text("ab é東京タสวัด。 \x00\x02", max_size=60)


def segment(text: str, start: float = 0.0, language: str | None = None) -> Segment:
    return Segment(id=0, start=start, end=start + 1, text=text, confidence=1.0, no_speech_prob=0.0, language=language)


def test_a_passage_ends_at_its_bound_and_where_the_language_changes() -> None:
    texts = [segment("x" * 300, number) for number in range(4)] + [segment("Hallo", 4.0, "de")]

    passages = passages_of(msgspec.structs.replace(transcript(*texts, duration_s=5), language="en"))

    assert [(one.config, len(one.segments)) for one in passages] == [("english", 2), ("english", 2), ("german", 1)]
    assert passages[1].segments == ((0, 2.0), (301, 3.0))
    assert len(passages[0].body) <= MOST_CHARS


@given(st.lists(WORDS, max_size=12))
def test_each_segment_begins_where_the_passage_says(texts: list[str]) -> None:
    segments = [segment(text, number) for number, text in enumerate(texts)]

    for passage in passages_of(transcript(*segments, duration_s=20)):
        for place, start_s in passage.segments:
            said = texts[int(start_s)].replace("\x00", " ").replace("\x02", " ").strip()
            assert passage.body[place:].startswith(said.replace("  ", " ")[:1])
        assert not set(passage.body) & {"\x00", "\x02", "\x03"}


def test_an_empty_transcript_has_no_passage() -> None:
    assert passages_of(transcript(duration_s=1)) == []


def test_scripts_without_spaces_are_pairs_of_characters() -> None:
    assert indexed("東京都、hello 世界").split() == ["東京", "京都", "hello", "世界"]
    assert searched("東京都 tower").split() == ['"東京', '京都"', "tower"]
    assert searched('"東京都 tower" -x').split() == ['"', "東京", "京都", 'tower"', "-x"]
    assert searched("東").split() == ['"東"']


@given(st.text(max_size=200))
def test_any_search_keeps_its_quotation_marks_in_pairs(q: str) -> None:
    assert searched(q).count('"') % 2 == q.count('"') % 2 or "＂" in q  # noqa: RUF001 - becomes one
