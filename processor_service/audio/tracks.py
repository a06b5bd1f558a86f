"""List the audio tracks of a file, and choose one: FFmpeg's choice, unless only others have speech."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import av
import msgspec
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from processor_service.audio.container import ERRORS, UNKNOWN_STREAM, OpenBytes, best_track, open_container, read_only
from processor_service.audio.find_speech import FINE, SAMPLE_RATE_HZ, speech_regions
from processor_service.audio.source import Mono, SourceFacts
from processor_service.errors import no_such_track
from shared.schemas.audio_tracks import AudioTrack

SAMPLE_S = 20.0  # of each track, at each place
PLACES = (0.0, 1 / 3, 2 / 3)  # of the file, where samples begin
MAX_SAMPLED = 8  # tracks
MAX_PACKETS = 20_000  # read for a sample: a track may have no sound there
MIN_SPEECH_S = 1.0  # in the samples; less may be a mistake
LITTLE = 0.2  # a track with less than this fraction of another's speech is not the one to transcribe
MAX_LISTED, MAX_TEXT = 32, 100  # tracks, and characters of a title


class TrackChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The track to transcribe and, without the option `track`, what else there is. Tracks count from 0."""

    number: int
    tracks: tuple[AudioTrack, ...] = ()
    preferred: int | None = None  # FFmpeg's choice, if it has no speech but the chosen one has
    others: tuple[int, ...] = ()  # other tracks with speech

    def listed(self) -> tuple[AudioTrack, ...]:
        """All tracks, with the one that is transcribed marked."""
        return tuple(msgspec.structs.replace(one, transcribed=one.number == self.number) for one in self.tracks)


def choose_track(open_bytes: OpenBytes, wanted: int | None) -> TrackChoice:
    """Choose a track of a file. Raise AudioError if it cannot be opened or has no track `wanted`."""
    with open_bytes() as raw, open_container(raw) as container:
        preferred = container.streams.audio.index(best_track(container))
        count = len(container.streams.audio)
        if wanted is not None and wanted >= count:
            raise no_such_track(wanted, count)
        listed = tuple(_described(number, one) for number, one in enumerate(container.streams.audio[:MAX_LISTED]))
        if wanted is not None or count == 1:
            return TrackChoice(number=preferred if wanted is None else wanted, tracks=listed)
        return choice_by_speech(listed, preferred, _speech_s(container))


def choice_by_speech(tracks: tuple[AudioTrack, ...], preferred: int, speech_s: Sequence[float]) -> TrackChoice:
    """Choose by the seconds of speech in samples of the tracks, of which the last may not be sampled."""
    spoken = {number: seconds for number, seconds in enumerate(speech_s) if seconds >= MIN_SPEECH_S}
    most_s = max(spoken.values(), default=0.0)
    is_spoken = preferred >= len(speech_s) or speech_s[preferred] >= LITTLE * most_s
    number = preferred if is_spoken else max(spoken, key=spoken.__getitem__)
    return TrackChoice(
        number=number,
        tracks=tracks,
        preferred=None if is_spoken else preferred,
        others=tuple(other for other, seconds in spoken.items() if other != number and seconds >= LITTLE * most_s),
    )


def _described(number: int, stream: AudioStream) -> AudioTrack:
    known = stream.codec_context is not None
    return AudioTrack(
        number=number,
        codec=stream.codec_context.name if known else "unknown",
        language=_text(stream.metadata.get("language")),
        title=_text(stream.metadata.get("title")),
        channels=stream.codec_context.channels or None if known else None,
        duration=round(float(stream.duration * stream.time_base), 3) if stream.duration and stream.time_base else None,
    )


def _text(value: str | None) -> str | None:
    """A tag as text that a database can store; `und` means that the language is not known."""
    return None if value in {None, "", "und"} else str(value).replace("\0", "")[:MAX_TEXT]


def _speech_s(container: InputContainer) -> list[float]:
    """The seconds of speech in samples of the first tracks."""
    streams = container.streams.audio[:MAX_SAMPLED]
    read_only(container, *streams)
    speech_s = np.zeros(len(streams))
    for place in PLACES:
        if place and not _seek(container, place):
            break
        samples = _sample(container, streams)
        speech_s += [sum(end - start for start, end in speech_regions(one, FINE)) for one in samples]
    return speech_s.tolist()


def _seek(container: InputContainer, place: float) -> bool:
    """Move to a part of the file; False if it is short or cannot be moved."""
    if not container.duration or container.duration < len(PLACES) * SAMPLE_S * av.time_base:
        return False
    try:
        container.seek(round((container.start_time or 0) + place * container.duration))
    except ERRORS:
        return False
    return True


def _sample(container: InputContainer, streams: Sequence[AudioStream]) -> list[Mono]:
    """16 kHz mono of each track, until one has enough."""
    resamplers = [AudioResampler("flt", "mono", SAMPLE_RATE_HZ) for _ in streams]
    parts: list[list[Mono]] = [[np.zeros(0, np.float32)] for _ in streams]
    lengths = [0] * len(streams)
    for number, mono in _decoded(container, streams, resamplers):
        parts[number].append(mono)
        lengths[number] += len(mono)
        if lengths[number] >= SAMPLE_S * SAMPLE_RATE_HZ:
            break
    return [np.concatenate(one) for one in parts]


def _decoded(
    container: InputContainer, streams: Sequence[AudioStream], resamplers: Sequence[AudioResampler]
) -> Iterator[tuple[int, Mono]]:
    """Parts of the tracks, each with its track's number. Damaged packets are skipped."""
    numbers = {stream.index: number for number, stream in enumerate(streams)}
    try:
        for _, packet in zip(range(MAX_PACKETS), container.demux(*streams), strict=False):
            number = numbers[packet.stream.index]
            try:
                frames = [one for frame in _frames(packet) for one in resamplers[number].resample(frame)]
            except ERRORS:
                continue
            for frame in frames:
                yield number, np.asarray(frame.to_ndarray(), np.float32).reshape(-1)
    except (UNKNOWN_STREAM, *ERRORS):
        return


def _frames(packet: "Packet[Any]") -> list[AudioFrame]:
    return cast("list[AudioFrame]", packet.decode())


def only_track(facts: SourceFacts, wanted: int | None) -> TrackChoice:
    """The choice in a format that has one track. Raise AudioError if another is wanted."""
    if wanted:
        raise no_such_track(wanted, 1)
    track = AudioTrack(number=0, codec=facts.codec, channels=facts.channels, duration=facts.duration_s)
    return TrackChoice(number=0, tracks=(track,))
