"""A transcriber for tests of everything around it: one word a second, no model, the same every time."""

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, word
from shared.options import JobOptions
from shared.transcript import Segment, Transcript

SEGMENT_S = 10


class Scripted:
    """Says "tick" for every full second of audio."""

    engine = "scripted"
    model = "scripted"

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(self, audio: FloatArray, options: JobOptions, *, threads: int) -> Transcript:  # noqa: ARG002 - Protocol
        duration_s = len(audio) / SAMPLE_RATE_HZ
        seconds = range(int(duration_s))
        starts = seconds[::SEGMENT_S]
        segments = tuple(
            _segment(number, list(seconds[start : start + SEGMENT_S])) for number, start in enumerate(starts)
        )
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            language=options.language or "en",
            duration=duration_s,
            segments=segments,
            engine=self.engine,
            model=self.model,
        )


def _segment(number: int, seconds: list[int]) -> Segment:
    words = tuple(word("tick", second, second + 0.5, 1.0) for second in seconds)
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text=" ".join(one.word for one in words),
        confidence=1.0,
        no_speech_prob=0.0,
        words=words,
    )
