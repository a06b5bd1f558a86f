import msgspec

from processor_service.stages.final_transcript import NO_SPEECH, final_transcript
from processor_service.transcribers.transcriber import shifted, word
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Segment, Transcript, WarningCode


def _chunk(text: str, *, language: str | None = "en", warnings: tuple[ResultWarning, ...] = ()) -> Transcript:
    words = tuple(word(one, number, number + 0.5, 0.9) for number, one in enumerate(text.split()))
    segment = Segment(id=0, start=0, end=len(words), text=text, confidence=0.9, no_speech_prob=0.01, words=words)
    return Transcript(
        text=text, language=language, duration=5.0, segments=(segment,) if text else (), warnings=warnings
    )


def test_segments_are_renumbered_and_times_rise() -> None:
    chunks = [shifted(_chunk("one two"), 0.0), shifted(_chunk("three"), 5.0), shifted(_chunk("four five"), 10.0)]

    merged = final_transcript(chunks, JobOptions(), duration_s=15.0)

    assert merged.text == "one two three four five"
    assert [segment.id for segment in merged.segments] == [0, 1, 2]
    starts = [one.start for segment in merged.segments for one in segment.words]
    assert starts == [0.0, 1.0, 5.0, 10.0, 11.0]
    assert merged.duration == 15.0


def test_a_file_without_speech_has_a_warning() -> None:
    merged = final_transcript([_chunk(""), _chunk("")], JobOptions(), duration_s=10.0)

    assert merged.text == ""
    assert merged.warnings == (NO_SPEECH,)


def test_one_silent_chunk_causes_no_warning() -> None:
    assert final_transcript([_chunk(""), _chunk("word")], JobOptions(), duration_s=10.0).warnings == ()


def test_the_language_is_that_of_most_of_the_text() -> None:
    chunks = [_chunk("hm", language="de"), _chunk("a long english sentence"), _chunk("", language="fr")]

    assert final_transcript(chunks, JobOptions(), duration_s=15.0).language == "en"


def test_a_warning_of_every_chunk_is_kept_once() -> None:
    warning = ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message="English only")
    chunks = [_chunk("one", warnings=(warning,)), _chunk("two", warnings=(warning,))]

    assert final_transcript(chunks, JobOptions(), duration_s=10.0).warnings == (warning,)


def test_a_warning_with_times_spans_the_first_to_the_last() -> None:
    def warned(start_s: float) -> Transcript:
        warning = ResultWarning(code=WarningCode.QUIET, message="quiet", start=start_s, end=start_s + 1)
        return _chunk("word", warnings=(warning,))

    (warning,) = final_transcript([warned(1.0), warned(7.0)], JobOptions(), duration_s=10.0).warnings

    assert (warning.start, warning.end) == (1.0, 8.0)


def test_each_span_of_missing_speech_keeps_its_times() -> None:
    def missing(start_s: float) -> Transcript:
        code = WarningCode.SPEECH_NOT_TRANSCRIBED
        return _chunk("word", warnings=(ResultWarning(code=code, message="m", start=start_s, end=start_s + 1),))

    merged = final_transcript([missing(1.0), shifted(missing(2.0), 5.0)], JobOptions(), duration_s=10.0)

    assert [(one.start, one.end) for one in merged.warnings] == [(1.0, 2.0), (7.0, 8.0)]


def test_words_are_omitted_unless_requested() -> None:
    merged = final_transcript([_chunk("one two")], JobOptions(word_timestamps=False), duration_s=5.0)

    assert (merged.text, merged.segments[0].words) == ("one two", ())


def test_speech_at_a_cut_is_not_repeated() -> None:
    first = _chunk("a b c d e f")  # until 6 s, the chunk's core ends at 5 s
    second = shifted(_chunk("d e f g h"), 3.1)

    merged = final_transcript([first, second], JobOptions(), duration_s=10.0)

    assert merged.text == "a b c d e f g h"
    times = [time_s for segment in merged.segments for one in segment.words for time_s in (one.start, one.end)]
    assert times == sorted(times)


def test_text_without_spaces_is_joined_without_spaces() -> None:
    def said(text: str, start_s: float) -> Transcript:
        words = tuple(word(sign, start_s + n, start_s + n + 0.9, 0.9) for n, sign in enumerate(text))
        segment = Segment(
            id=0, start=start_s, end=words[-1].end, text=text, confidence=0.9, no_speech_prob=0.0, words=words
        )
        return Transcript(text=text, language="zh", duration=5.0, segments=(segment,))

    merged = final_transcript([said("今日天气很", 1.0), said("气很好", 4.0)], JobOptions(), duration_s=10.0)

    assert "".join(segment.text for segment in merged.segments) == "今日天气很好"


def test_confidence_distinguishes_speech_from_silence() -> None:
    unsure = msgspec.structs.replace(_chunk("hm").segments[0], confidence=0.1)
    chunk = msgspec.structs.replace(_chunk("hm"), segments=(unsure,))

    (warning,) = final_transcript([chunk], JobOptions(), duration_s=5.0).warnings

    assert (warning.code, warning.start, warning.end) == (WarningCode.LOW_CONFIDENCE, 0.0, 1.0)
