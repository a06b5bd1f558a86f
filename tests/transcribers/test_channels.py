"""Channels that are told apart become speakers, in the order in which they speak."""

from processor_service.compute.transcribe_chunk import as_channel, merge_channels
from processor_service.transcribers.transcriber import word
from shared.schemas.transcript import Segment, Transcript


def _said(*texts: tuple[str, float]) -> Transcript:
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


def test_segments_of_all_channels_stand_in_the_order_in_which_they_begin() -> None:
    caller, callee = _said(("Hello?", 1.0), ("Fine.", 5.0)), _said(("Hi.", 2.5), ("You?", 4.5))

    merged = merge_channels([as_channel(caller, 0), as_channel(callee, 1)])

    assert merged.text == "Hello? Hi. You? Fine."
    told = [(one.id, one.channel, one.speaker) for one in merged.segments]
    assert told == [(0, 0, "SPEAKER_00"), (1, 1, "SPEAKER_01"), (2, 1, "SPEAKER_01"), (3, 0, "SPEAKER_00")]


def test_one_channel_stays_as_it_is() -> None:
    alone = as_channel(_said(("Hello?", 1.0)), 0)

    assert merge_channels([alone]) == alone
