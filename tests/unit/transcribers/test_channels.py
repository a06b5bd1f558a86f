"""Separate channels become speakers; their segments are in order of their starts."""

from processor_service.compute.transcribe_chunk import as_channel, merge_channels
from processor_service.transcribers.transcriber import word
from shared.schemas.transcript import Segment, Transcript


def _transcript(*texts: tuple[str, float]) -> Transcript:
    segments = tuple(
        Segment(
            id=number,
            start=start_s,
            end=start_s + 1,
            text=text,
            confidence=0.9,
            no_speech_prob=0.0,
            words=(word(text, start_s, start_s + 1, 0.9),),
        )
        for number, (text, start_s) in enumerate(texts)
    )
    return Transcript(text=" ".join(text for text, _ in texts), language="en", duration=10.0, segments=segments)


def test_segments_of_all_channels_are_in_order_of_their_starts() -> None:
    caller, callee = _transcript(("Hello?", 1.0), ("Fine.", 5.0)), _transcript(("Hi.", 2.5), ("You?", 4.5))

    merged = merge_channels([as_channel(caller, 0), as_channel(callee, 1)])

    assert merged.text == "Hello? Hi. You? Fine."
    found = [(one.id, one.channel, one.speaker) for one in merged.segments]
    assert found == [(0, 0, "SPEAKER_00"), (1, 1, "SPEAKER_01"), (2, 1, "SPEAKER_01"), (3, 0, "SPEAKER_00")]


def test_one_channel_is_unchanged() -> None:
    alone = as_channel(_transcript(("Hello?", 1.0)), 0)

    assert merge_channels([alone]) == alone
