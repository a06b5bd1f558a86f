"""Decode all recordings of a file one after another, at the rate and channel count of the first."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import numpy as np
import soxr

from processor_service.audio.decode_ogg import MAGIC as OGG_MAGIC
from processor_service.audio.decode_ogg import OggDecoder
from processor_service.audio.decode_pyav import PyAVDecoder
from processor_service.audio.decode_soundfile import SoundfileDecoder
from processor_service.audio.find_pieces import find_pieces
from processor_service.audio.float_scale import full_scale
from processor_service.audio.media_clock import ClockReport
from processor_service.audio.pieces import Piece, whole_file
from processor_service.audio.skip_packets import NotPlainError
from processor_service.audio.source import Block, Decoder, SourceFacts
from processor_service.audio.tracks import TrackChoice, choose_track, only_track
from processor_service.errors import AudioError

FLOAT_CODECS = ("float", "double", "pcm_f")
Check = Callable[[SourceFacts], None]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a recording: which track, None to choose one; and where silence in gaps ends at the latest.

    What is before `start_s` is not wanted. A decoder may leave it out.
    """

    track: int | None
    limit_s: float | None
    start_s: float = 0.0

    def after(self, position_s: float) -> "Reading":
        """For the recording that begins at this position."""
        return Reading(track=self.track, limit_s=None if self.limit_s is None else self.limit_s - position_s)


class PieceDecoder:
    """A Decoder (source.py) for one piece: libsndfile, or PyAV if libsndfile does not read it well or fails midway."""

    def __init__(self, piece: Piece, reading: Reading) -> None:
        self._piece = piece
        self._reading = reading
        self._decoder, self.choice = _open_decoder(piece, reading)
        self._more_errors = 0
        self.facts = self._decoder.facts

    @property
    def decode_errors(self) -> int:
        return self._decoder.decode_errors + self._more_errors

    @property
    def clock_report(self) -> ClockReport:
        return self._decoder.clock_report

    @property
    def first_frame(self) -> int:
        return self._decoder.first_frame

    def blocks(self) -> Iterator[Block]:
        """The samples. Floating point numbers beyond full scale are scaled."""
        scale = np.float32(self._full_scale())
        for block in self._unscaled():
            yield block if scale == 1 else block / scale

    def close(self) -> None:
        self._decoder.close()

    def _full_scale(self) -> float:
        if not self.facts.codec.startswith(FLOAT_CODECS):
            return 1.0
        try:
            with closing(_open_decoder(self._piece, self._chosen())[0]) as decoder:
                return full_scale(decoder.blocks())
        except AudioError:  # reported when the samples are read
            return 1.0

    def _chosen(self) -> Reading:
        """The whole recording with the same track."""
        return msgspec.structs.replace(self._reading, track=self.choice.number, start_s=0.0)

    def _unscaled(self) -> Iterator[Block]:
        frames_read = 0
        try:
            for block in self._decoder.blocks():
                frames_read += len(block)
                yield block
        except NotPlainError:  # before the first block
            self._decoder.close()
            self._decoder = _open_decoder(self._piece, self._chosen())[0]
            yield from self._unscaled()
        except AudioError:
            self._more_errors += 1
            yield from self._rest(frames_read)

    def _rest(self, position: int) -> Iterator[Block]:
        try:
            other = PyAVDecoder(self._piece.open, track=self.choice.number, limit_s=self._reading.limit_s)
        except AudioError:
            if position:
                return
            raise
        try:
            if _same_shape(other.facts, self.facts):
                yield from _skip(other.blocks(), self._decoder.first_frame + position)
        finally:
            self._more_errors += other.decode_errors
            other.close()


class JoinedDecoder:
    """A Decoder (source.py) for several pieces. A piece is opened when the one before has ended."""

    def __init__(self, pieces: list[tuple[Piece, SourceFacts]], reading: Reading) -> None:
        self._pieces = [piece for piece, _ in pieces]
        self._reading = reading
        self._current: PieceDecoder | None = None
        self.facts = msgspec.structs.replace(pieces[0][1], duration_s=_total_s([facts for _, facts in pieces]))
        self.first_frame = 0
        self.decode_errors = 0
        self.clock_report = ClockReport()

    def blocks(self) -> Iterator[Block]:
        """The samples of all pieces, without pauses between them."""
        frames = 0
        for piece in self._pieces:
            position_s = frames / self.facts.sample_rate_hz
            self._current = PieceDecoder(piece, self._reading.after(position_s))
            try:
                for block in _converted(self._current.blocks(), self._current.facts, self.facts):
                    frames += len(block)
                    yield block
            finally:
                self._current.close()
                self.decode_errors += self._current.decode_errors
                self.clock_report.add(self._current.clock_report, position_s)

    def close(self) -> None:
        if self._current:
            self._current.close()


class OpenedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file ready for decoding, the choice of the track, and the number of bytes that no decoder reads."""

    decoder: Decoder
    choice: TrackChoice  # in the first recording
    unread_bytes: int


def open_file(path: Path, check: Check, reading: Reading) -> OpenedFile:
    """Open the recordings of a file. Raise AudioError if there is none, or what `check` raises about its facts.

    Recordings that cannot be opened count as unread bytes.
    """
    found = find_pieces(path)
    all_bytes = found.unread_bytes + sum(map(_bytes, found.pieces))
    readable = _readable(found.pieces, check, reading) if len(found.pieces) > 1 else []
    first = readable[0][0] if readable else found.pieces[0]
    decoder = _open_first(path, first, check, reading)
    if len(readable) <= 1:
        return OpenedFile(decoder=decoder, choice=decoder.choice, unread_bytes=all_bytes - _bytes(first))
    decoder.close()
    unread_bytes = all_bytes - sum(_bytes(piece) for piece, _ in readable)
    return OpenedFile(decoder=JoinedDecoder(readable, reading), choice=decoder.choice, unread_bytes=unread_bytes)


def _open_first(path: Path, piece: Piece, check: Check, reading: Reading) -> PieceDecoder:
    """Open a piece, or the whole file if FFmpeg's own search finds more in it."""
    try:
        return _checked(PieceDecoder(piece, reading), check)
    except AudioError:
        whole = whole_file(path)
        if piece == whole:
            raise
        return _checked(PieceDecoder(whole, reading), check)


def _readable(pieces: tuple[Piece, ...], check: Check, reading: Reading) -> list[tuple[Piece, SourceFacts]]:
    """The recordings that can be opened, with their facts."""
    readable = []
    for piece in pieces:
        with suppress(AudioError), closing(_checked(PieceDecoder(piece, reading), check)) as decoder:
            readable.append((piece, decoder.facts))
    return readable


def _checked(decoder: PieceDecoder, check: Check) -> PieceDecoder:
    try:
        check(decoder.facts)
    except AudioError:
        decoder.close()
        raise
    return decoder


def _open_decoder(piece: Piece, reading: Reading) -> tuple[Decoder, TrackChoice]:
    """The decoder, and the choice of the track."""
    if _starts_with(piece, OGG_MAGIC):
        choice = _choose_in_ogg(piece, reading.track)
        ogg = OggDecoder(piece, track=choice.number, limit_s=reading.limit_s, start_s=reading.start_s)
        return ogg, choice
    try:
        decoder = SoundfileDecoder(piece, start_s=reading.start_s)
    except AudioError:
        choice = choose_track(piece.open, reading.track)
        track = choice.number
        return PyAVDecoder(piece.open, track=track, limit_s=reading.limit_s, start_s=reading.start_s), choice
    return decoder, _only_track(decoder, reading.track)


def _only_track(decoder: SoundfileDecoder, wanted: int | None) -> TrackChoice:
    try:
        return only_track(decoder.facts, wanted)
    except AudioError:
        decoder.close()
        raise


def _choose_in_ogg(piece: Piece, wanted: int | None) -> TrackChoice:
    """The choice for all links of a chain, of which the first may be damaged."""
    try:
        return choose_track(piece.open, wanted)
    except AudioError:
        if wanted:
            raise
        return TrackChoice(number=0)


def _starts_with(piece: Piece, magic: bytes) -> bool:
    with piece.open() as file:
        return file.read(len(magic)) == magic


def _bytes(piece: Piece) -> int:
    return piece.end - piece.start


def _total_s(facts: list[SourceFacts]) -> float | None:
    durations = [fact.duration_s for fact in facts]
    return None if None in durations else sum(duration or 0.0 for duration in durations)


def _same_shape(one: SourceFacts, other: SourceFacts) -> bool:
    return (one.sample_rate_hz, one.channels) == (other.sample_rate_hz, other.channels)


def _skip(blocks: Iterator[Block], frames: int) -> Iterator[Block]:
    for block in blocks:
        yield block[frames:]
        frames = max(0, frames - len(block))


def _converted(blocks: Iterator[Block], own: SourceFacts, wanted: SourceFacts) -> Iterator[Block]:
    """The blocks at the wanted rate and channel count."""
    spread = (_spread(block, wanted.channels) for block in blocks)
    if own.sample_rate_hz == wanted.sample_rate_hz:
        yield from spread
        return
    stream = soxr.ResampleStream(own.sample_rate_hz, wanted.sample_rate_hz, wanted.channels, dtype="float32")
    for block in spread:
        yield _two_dimensional(stream.resample_chunk(_finite(block)), wanted.channels)
    yield _two_dimensional(
        stream.resample_chunk(np.zeros((0, wanted.channels), np.float32), last=True), wanted.channels
    )


def _spread(block: Block, channels: int) -> Block:
    """The block with another channel count: the mean of all channels in each."""
    if block.shape[1] == channels:
        return block
    return np.repeat(block.mean(axis=1, keepdims=True, dtype=np.float32), channels, axis=1)


def _finite(block: Block) -> Block:
    """NaN in one sample would spread to all that follow."""
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def _two_dimensional(samples: Block, channels: int) -> Block:
    return np.asarray(samples, np.float32).reshape(-1, channels)
