"""Progress moves with each window, never backwards, and never beyond the windows of the batch."""

from collections.abc import Sequence

from processor_service.transcribers.transcriber import word
from processor_service.transcribers.window_progress import WindowProgress
from shared.schemas.transcript import Segment


def _segments(count: int) -> list[Segment]:
    return [
        Segment(
            id=number,
            start=float(number),
            end=number + 0.5,
            text="tick",
            confidence=1.0,
            no_speech_prob=0.0,
            words=(word("tick", number, number + 0.5, 1.0),),
        )
        for number in range(count)
    ]


def test_a_window_counts_half_when_it_is_encoded_and_fully_when_it_is_decoded() -> None:
    reported: list[float] = []
    progress = WindowProgress(4, lambda fraction, _: reported.append(fraction))

    progress.begin(2)
    progress.encoded(2)
    progress.decoded(1)
    progress.decoded(1)
    progress.decoded(1)  # another attempt for a window
    progress.done(2, ())
    progress.begin(2)
    progress.encoded(1)
    progress.encoded(1)
    progress.done(4, ())

    assert reported == [0.25, 0.375, 0.5, 0.5, 0.5, 0.625, 0.75, 1.0]


def test_each_final_segment_is_reported_once() -> None:
    reported: list[Segment] = []

    def report(_: float, segments: Sequence[Segment]) -> None:
        reported.extend(segments)

    segments, progress = _segments(3), WindowProgress(3, report)
    for done, final in enumerate([segments[:1], segments[:1], segments], start=1):
        progress.begin(1)
        progress.done(done, final)

    assert reported == segments
