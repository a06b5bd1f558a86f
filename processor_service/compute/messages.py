"""What a worker and its compute child say to each other: length-prefixed msgpack frames over two pipes."""

import struct
from typing import BinaryIO

import msgspec

from processor_service.audio.write_chunks import ChunkFile, PreparedAudio
from processor_service.denoisers.denoiser import DenoiserSettings
from processor_service.diarization.weights import SpeakerWeights
from processor_service.providers.plan_pieces import ChannelPieces
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript, Turn

HEADER = struct.Struct(">I")
# Where a child keeps its pipes, out of the way of libraries that write to standard output.
REQUESTS_FD, REPLIES_FD = 10, 11


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Allow(_Message, frozen=True, kw_only=True):
    """How much CPU time the request that follows may take. Not answered."""

    cpu_s: int


class Warm(_Message, frozen=True, kw_only=True):
    """Load the model and run it once. First request of every child; answered by Ready."""

    engine: str
    model_path: str
    device: str = "auto"  # cpu, cuda, or auto: a GPU where there is one
    memory_bytes: int = 0  # that the child may have; 0: what the model needs
    denoiser: DenoiserSettings = DenoiserSettings()


class SplitSource(_Message, frozen=True, kw_only=True):
    """Decode a source and write it as one or more chunk files. Answered by Prepared."""

    source_path: str
    out_dir: str
    threshold_s: float
    chunk_s: float
    max_audio_s: float


class ProcessChunk(_Message, frozen=True, kw_only=True):
    """Transcribe the core of a chunk file and, when a path is given, denoise it. Answered by ChunkProcessed.

    Where a remote engine has understood it already, `heard` holds what, by channel, in the time of what was encoded.
    """

    chunk: ChunkFile
    options: JobOptions
    model_path: str
    threads: int
    denoised_path: str | None
    is_denoised: bool = False  # the file at that path is there already
    denoiser: DenoiserSettings = DenoiserSettings()
    heard: tuple[Transcript, ...] = ()


class DenoiseChunk(_Message, frozen=True, kw_only=True):
    """Denoise what ProcessChunk would, without transcribing it. Answered by Denoised."""

    what: ProcessChunk


class EncodePieces(_Message, frozen=True, kw_only=True):
    """Cut the speech that ProcessChunk would transcribe into files for remote engines. Answered by PiecesEncoded."""

    what: ProcessChunk
    out_dir: str
    longest_s: tuple[float, ...]  # that a piece may be; a set of pieces is made for each


class JoinDenoised(_Message, frozen=True, kw_only=True):
    """Join the denoised chunks of a file, in order. Answered by Joined."""

    paths: tuple[str, ...]
    out_path: str


class FindVoices(_Message, frozen=True, kw_only=True):
    """Write the voices in the core of a chunk file to a path. Answered by VoicesFound."""

    chunk: ChunkFile
    weights: SpeakerWeights
    threads: int
    voices_path: str


class FindTurns(_Message, frozen=True, kw_only=True):
    """Tell the speakers of a file apart, out of the voices of its chunks in order. Answered by TurnsFound."""

    voices_paths: tuple[str, ...]
    at_least: int | None
    at_most: int | None


class Ready(_Message, frozen=True, kw_only=True):
    """The model is warm."""


class Progress(_Message, frozen=True, kw_only=True):
    """How far the request is, 0 to 1. Any number of these come before the answer."""

    fraction: float


class ChunkWritten(_Message, frozen=True, kw_only=True):
    """A chunk file is complete; comes before Prepared."""

    chunk: ChunkFile


class Prepared(_Message, frozen=True, kw_only=True):
    audio: PreparedAudio


class ChunkProcessed(_Message, frozen=True, kw_only=True):
    """Times are seconds from the start of the source."""

    transcript: Transcript
    transcribed_in_s: float = 0.0
    denoised_in_s: float = 0.0  # 0: there was nothing to denoise


class Denoised(_Message, frozen=True, kw_only=True):
    pass


class PiecesEncoded(_Message, frozen=True, kw_only=True):
    channels: tuple[ChannelPieces, ...]  # one, unless each channel is transcribed by itself


class Joined(_Message, frozen=True, kw_only=True):
    pass


class VoicesFound(_Message, frozen=True, kw_only=True):
    pass


class TurnsFound(_Message, frozen=True, kw_only=True):
    turns: tuple[Turn, ...]


class RequestFailed(_Message, frozen=True, kw_only=True):
    """The request failed in a way that leaves the child sound."""

    code: FailureCode
    message: str
    transient: bool
    traceback: str


Request = Warm | SplitSource | ProcessChunk | DenoiseChunk | EncodePieces | FindVoices | FindTurns | JoinDenoised
ToChild = Allow | Request
Answer = Prepared | ChunkProcessed | Denoised | PiecesEncoded | VoicesFound | TurnsFound | Joined
Reply = Ready | Progress | ChunkWritten | Answer | RequestFailed

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def frame(message: ToChild | Reply) -> bytes:
    """A message as it travels."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


def decode_reply(body: bytes) -> Reply:
    return _reply_decoder.decode(body)


def read_request(pipe: BinaryIO) -> ToChild | None:
    """The next request, or None when the worker has closed the pipe."""
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return _request_decoder.decode(pipe.read(HEADER.unpack(header)[0]))
