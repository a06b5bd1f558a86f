"""What a transcript is after redaction: its words, texts, times, and the spans of audio."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.redaction.apply import MARGIN_S, redacted
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript, Word
from tests.unit.redaction.spoken import EVERYTHING, WORD_S, result, spoken


def test_the_words_of_a_number_become_one_with_their_time() -> None:
    (segment,) = result("Call 212 555 0142. Bye.").transcript.segments
    assert segment.text == "Call [PHONE]. Bye."
    assert [(word.word, word.start, word.end) for word in segment.words] == [
        ("Call", 0.0, 0.4),
        ("[PHONE].", 0.4, 1.6),
        ("Bye.", 1.6, 2.0),
    ]


def test_the_spans_of_audio_have_margins() -> None:
    found = result("Call me at 212 555 0142.", "Okay.", "My card is 4111 2222 3333 4445.")
    (phone, card) = found.spans  # of whole numbers, with the pauses inside
    assert phone == pytest.approx((3 * WORD_S - MARGIN_S, 6 * WORD_S + MARGIN_S))
    assert card[1] - card[0] == pytest.approx(4 * WORD_S + 2 * MARGIN_S)
    assert not found.is_rough


def test_an_answer_inside_a_number_stays() -> None:
    found = result("My card is 4111 2222", "Okay.", "3333 4445 and that is all.")
    assert [one.text for one in found.transcript.segments] == ["My card is [CARD]", "Okay.", "[CARD] and that is all."]
    assert len(found.spans) == 2


def test_without_word_times_a_whole_segment_is_covered() -> None:
    transcript = spoken("Hello.", "My card is 4111 2222 3333 4445.", with_words=False)
    found = redacted(transcript, JobOptions(redact="card"))
    (_, segment) = transcript.segments
    assert found.transcript.segments[1].text == "My card is [CARD]."
    assert found.transcript.segments[1].words == ()
    (span,) = found.spans
    assert span == pytest.approx((segment.start - MARGIN_S, segment.end + MARGIN_S))
    assert found.is_rough


def _of_provider(text: str, *words: str) -> Transcript:
    timed = tuple(Word(word=one, start=at, end=at + 0.5, confidence=1.0) for at, one in enumerate(words))
    segment = Segment(id=0, start=0.0, end=9.0, text=text, confidence=1.0, no_speech_prob=0.0, words=timed)
    return Transcript(text=text, language="en", duration=9.0, segments=(segment,))


def test_words_that_a_provider_spells_in_another_way_leave_nothing_in_the_text() -> None:
    transcript = _of_provider("Call 212 555 0142, bye.", "Call", "212-555-0142", "bye")
    found = redacted(transcript, JobOptions(redact="phone"))
    assert found.transcript.text == "Call [PHONE] bye"
    assert [word.word for word in found.transcript.segments[0].words] == ["Call", "[PHONE]", "bye"]


def test_text_that_a_provider_has_no_words_of_is_redacted() -> None:
    found = redacted(_of_provider("Call 212 555 0142, bye.", "Call", "bye"), JobOptions(redact="phone"))
    assert found.transcript.text == "Call [PHONE], bye."
    assert found.transcript.segments[0].words == ()
    assert found.spans == ((0.0, 9.0),)
    assert found.is_rough


def test_profanity_is_masked_in_texts_and_words() -> None:
    options = JobOptions(profanity="mask")
    found = redacted(spoken("Oh shit, that FUCKING thing.", "A classic assessment in Scunthorpe."), options)
    assert found.transcript.text == "Oh s***, that F*** thing. A classic assessment in Scunthorpe."
    words = [word for segment in found.transcript.segments for word in segment.words]
    assert [word.word for word in words][:5] == ["Oh", "s***,", "that", "F***", "thing."]
    assert found.spans == ()


@pytest.mark.parametrize(
    ("line", "language", "expected"),
    [
        ("So eine Scheiße!", "de", "So eine S***!"),
        ("Die Pute ist gar.", "de", "Die Pute ist gar."),
        ("Merde alors", "fr", "M*** alors"),
        ("film slut", "sv", "film slut"),
    ],
)
def test_profanity_is_that_of_the_language(line: str, language: str, expected: str) -> None:
    assert redacted(spoken(line, language=language), JobOptions(profanity="mask")).transcript.text == expected


SOUNDS = st.sampled_from(
    "my card phone is at dot com four one oh double 4111 212-555-0142 john@x.org Mary born May street email D E 89 "
    "okay. fuck the name IBAN ip , ... [PHONE] é 電話 1/2".split()
)


@given(st.lists(st.lists(SOUNDS, min_size=1, max_size=12), min_size=1, max_size=5), st.booleans())
def test_times_stay_in_order_and_nothing_is_lost(lines: list[list[str]], with_words: bool) -> None:  # noqa: FBT001 - drawn
    before = spoken(*map(" ".join, lines), with_words=with_words)
    found = redacted(before, JobOptions(redact=EVERYTHING, profanity="mask"))
    after = found.transcript
    assert [msgspec.structs.replace(one, text="", words=()) for one in after.segments] == [
        msgspec.structs.replace(one, text="", words=()) for one in before.segments
    ]
    for segment in after.segments:
        assert [word.word for word in segment.words] == (segment.text.split() if with_words else [])
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
    assert all(start < end for start, end in found.spans)
    assert sorted(found.spans) == list(found.spans)


@given(st.text(max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    words = text.split()
    if words:
        redacted(spoken(" ".join(words)), JobOptions(redact=EVERYTHING, profanity="mask"))
