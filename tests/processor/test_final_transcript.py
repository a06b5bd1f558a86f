from processor_service.stages.final_transcript import NO_SPEECH, final_transcript
from processor_service.transcribers.protocol import shifted, word
from shared.transcript import ResultWarning, Segment, Transcript, WarningCode


def _chunk(text: str, *, language: str | None = "en", warnings: tuple[ResultWarning, ...] = ()) -> Transcript:
    words = tuple(word(one, number, number + 0.5, 0.9) for number, one in enumerate(text.split()))
    segment = Segment(id=0, start=0, end=len(words), text=text, confidence=0.9, no_speech_prob=0.01, words=words)
    return Transcript(
        text=text, language=language, duration=5.0, segments=(segment,) if text else (), warnings=warnings
    )


def test_segments_are_numbered_anew_and_times_rise() -> None:
    chunks = [shifted(_chunk("one two"), 0.0), shifted(_chunk("three"), 5.0), shifted(_chunk("four five"), 10.0)]

    merged = final_transcript(chunks, duration_s=15.0)

    assert merged.text == "one two three four five"
    assert [segment.id for segment in merged.segments] == [0, 1, 2]
    starts = [one.start for segment in merged.segments for one in segment.words]
    assert starts == [0.0, 1.0, 5.0, 10.0, 11.0]
    assert merged.duration == 15.0


def test_a_file_without_speech_says_so() -> None:
    merged = final_transcript([_chunk(""), _chunk("")], duration_s=10.0)

    assert merged.text == ""
    assert merged.warnings == (NO_SPEECH,)


def test_one_silent_chunk_is_no_reason_to_warn() -> None:
    assert final_transcript([_chunk(""), _chunk("word")], duration_s=10.0).warnings == ()


def test_the_language_is_that_of_most_of_the_text() -> None:
    chunks = [_chunk("hm", language="de"), _chunk("a long english sentence"), _chunk("", language="fr")]

    assert final_transcript(chunks, duration_s=15.0).language == "en"


def test_a_warning_of_every_chunk_is_kept_once() -> None:
    warning = ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message="English only")
    chunks = [_chunk("one", warnings=(warning,)), _chunk("two", warnings=(warning,))]

    assert final_transcript(chunks, duration_s=10.0).warnings == (warning,)
