"""Transcribes one sound: finds its speech, transcribes it in windows, and fills the holes while it goes on."""

from collections.abc import Callable, Sequence

import msgspec

from processor_service.audio.level import levelled
from processor_service.compute.load_sounds import Sound, speech_in
from processor_service.transcribers.holes import Hole, HoleFiller, hole_warnings
from processor_service.transcribers.segments import main_language
from processor_service.transcribers.snap_times import snap_times, snapped
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, OnProgress, Span, Transcriber
from processor_service.transcribers.warnings import sound_warnings
from processor_service.transcribers.windows import MODEL_WINDOW_S, apart, plan_windows
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript

OnFraction = Callable[[float], None]
OnSegments = Callable[[Sequence[Segment]], None]


def transcribe_sound(  # noqa: PLR0913 - the last four are named
    transcriber: Transcriber,
    sound: Sound,
    options: JobOptions,
    *,
    threads: int,
    is_end: bool,
    on_fraction: OnFraction,
    on_segments: OnSegments,
) -> Transcript:
    """Return the transcript of a sound, with times in seconds of its audio. `is_end`: the source ends with it.

    `on_fraction` gets numbers from 0 to 1, `on_segments` the next segments that no later step changes.
    """
    if not transcriber.wants_speech_only:
        whole = (0.0, len(sound.audio) / SAMPLE_RATE_HZ)
        on_progress = _to_both(on_fraction, on_segments)
        return transcriber.transcribe(sound.audio, [whole], options, threads=threads, on_progress=on_progress)
    regions = speech_in(sound)
    speech = Speech(transcriber, levelled(sound.audio, regions), regions, options, threads=threads)
    if options.detect_language_only:
        return speech.beginning()
    transcript = speech.filled(on_fraction, on_segments)
    warnings = (*hole_warnings(regions, transcript.segments), *sound_warnings(sound.audio, regions, is_end=is_end))
    return msgspec.structs.replace(transcript, warnings=(*transcript.warnings, *warnings))


class Speech:
    """The regions of speech of a sound, and the language in which its holes are transcribed."""

    def __init__(
        self,
        transcriber: Transcriber,
        audio: FloatArray,
        regions: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
    ) -> None:
        self._transcriber = transcriber
        self._audio = audio
        self._duration_s = len(audio) / SAMPLE_RATE_HZ
        self._regions = regions
        self._options = options
        self._threads = threads
        self._language = options.language

    def beginning(self) -> Transcript:
        """The transcript of the first speech, enough to detect the language."""
        return self._transcribe(self._windows(first_speech(self._regions)), self._options)

    def filled(self, on_fraction: OnFraction, on_segments: OnSegments) -> Transcript:
        """The transcript of all speech, whose holes are filled as soon as the segments around them are known."""
        filler, known = HoleFiller(self._regions, self._transcribe_holes), list[Segment]()

        def add(segments: Sequence[Segment]) -> None:
            known.extend(segments)
            self._language = self._options.language or main_language(known)
            on_segments(filler.add(snapped(segments, self._regions)))

        first = self._transcribe(self._windows(self._regions), self._options, _to_both(on_fraction, add))
        self._language = first.language or self._options.language
        return filler.end(first)

    def _transcribe_holes(self, holes: Sequence[Hole]) -> Transcript:
        windows = [window for hole in holes for window in self._windows(hole)]
        in_language = msgspec.structs.replace(
            self._options, language=self._language, language_confidence=None, stream_windows=False
        )
        return self._transcribe(apart(windows), in_language)

    def _windows(self, regions: Sequence[Span]) -> list[Span]:
        return plan_windows(regions, self._duration_s)

    def _transcribe(
        self, windows: Sequence[Span], options: JobOptions, on_progress: OnProgress = lambda *_: None
    ) -> Transcript:
        text = self._transcriber.transcribe(
            self._audio, windows, options, threads=self._threads, on_progress=on_progress
        )
        return snap_times(text, self._regions)


def _to_both(on_fraction: OnFraction, on_segments: OnSegments) -> OnProgress:
    """Pass the progress of an engine and its segments to two functions."""

    def on_progress(fraction: float, segments: Sequence[Segment]) -> None:
        on_fraction(fraction)
        if segments:
            on_segments(segments)

    return on_progress


def first_speech(speech: Sequence[Span], most_s: float = MODEL_WINDOW_S) -> list[Span]:
    """Return the regions of speech up to `most_s` of speech in all."""
    first: list[Span] = []
    for start_s, end_s in speech:
        if most_s <= 0:
            break
        first.append((start_s, min(end_s, start_s + most_s)))
        most_s -= end_s - start_s
    return first
