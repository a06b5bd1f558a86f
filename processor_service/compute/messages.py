"""The messages between a worker and its compute child: length-prefixed msgpack frames over two pipes."""

import struct
from typing import BinaryIO

import msgspec

from processor_service.audio.peaks import PeakFiles
from processor_service.audio.scratch_files import WriteLimits
from processor_service.audio.write_chunks import ChunkFile, PreparedAudio
from processor_service.denoisers.denoiser import DenoiserSettings
from processor_service.diarization.known_voices import KnownVoice, VoiceMatch
from processor_service.diarization.weights import SpeakerWeights
from processor_service.providers.plan_pieces import ChannelPieces
from shared.schemas.failures import FailureCode
from shared.schemas.job_parts import WHOLE, Part
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript, Turn
from shared.schemas.windows import WindowSegment

HEADER = struct.Struct(">I")
# The child's pipes. Libraries write to standard output.
REQUESTS_FD, REPLIES_FD = 10, 11


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Allow(_Message, frozen=True, kw_only=True):
    """The CPU time that the next request may use, and what it may write. Not answered."""

    cpu_s: int
    writes: WriteLimits = WriteLimits()


class Warm(_Message, frozen=True, kw_only=True):
    """Load the model and run it once. The first request of every child; answered by Ready."""

    engine: str
    model_path: str
    device: str = "auto"  # cpu, cuda, or auto: a GPU if available
    memory_bytes: int = 0  # the child's limit; 0: what the model needs
    denoiser: DenoiserSettings = DenoiserSettings()


class SplitSource(_Message, frozen=True, kw_only=True):
    """Decode a source and write it as one or more chunk files. Answered by Prepared."""

    source_path: str
    out_dir: str
    threshold_s: float
    chunk_s: float
    max_audio_s: float
    track: int | None = None  # from 0; None: choose one with speech
    part: Part = WHOLE


class ProcessChunk(_Message, frozen=True, kw_only=True):
    """Transcribe the core of a chunk file and, when a path is given, denoise it. Answered by ChunkProcessed.

    `provider_transcripts` holds the transcripts of a provider, one a channel, with times from the start of the encoded
    audio. The child then does not transcribe.
    """

    chunk: ChunkFile
    options: JobOptions
    model_path: str
    threads: int
    denoised_path: str | None
    is_denoised: bool = False  # the denoised file exists
    denoiser: DenoiserSettings = DenoiserSettings()
    provider_transcripts: tuple[Transcript, ...] = ()


class DenoiseChunk(_Message, frozen=True, kw_only=True):
    """Denoise as ProcessChunk does, without transcribing. Answered by Denoised."""

    what: ProcessChunk


class EncodePieces(_Message, frozen=True, kw_only=True):
    """Encode the speech that ProcessChunk would transcribe into files for providers. Answered by PiecesEncoded."""

    what: ProcessChunk
    out_dir: str
    longest_s: tuple[float, ...]  # the longest piece of each provider; each gets its own set of pieces


class JoinDenoised(_Message, frozen=True, kw_only=True):
    """Join the denoised chunks of a file, in order. Answered by Joined."""

    paths: tuple[str, ...]
    out_path: str


class RedactAudio(_Message, frozen=True, kw_only=True):
    """Write a copy of a source in which `spans` (seconds) are a tone or silence, with its peaks beside it.

    The same for a denoised file, if there is one. Answered by AudioRedacted.
    """

    source_path: str
    out_path: str
    spans: tuple[tuple[float, float], ...]
    with_tone: bool
    max_audio_s: float
    track: int | None = None
    denoised_path: str | None = None
    denoised_out_path: str | None = None
    denoised_start_s: float = 0.0  # in the source: the denoised file of a part begins there


class FindVoices(_Message, frozen=True, kw_only=True):
    """Write the voices in the core of a chunk file to a path. Answered by VoicesFound."""

    chunk: ChunkFile
    weights: SpeakerWeights
    threads: int
    voices_path: str


class FindTurns(_Message, frozen=True, kw_only=True):
    """Assign speakers to the voices of all chunks, in order. Answered by TurnsFound."""

    voices_paths: tuple[str, ...]
    at_least: int | None
    at_most: int | None
    known: tuple[KnownVoice, ...] = ()  # to find among the speakers


class EmbedSample(_Message, frozen=True, kw_only=True):
    """Make the embedding of the voice in spans of a source, in seconds. Answered by SampleEmbedded."""

    chunk: ChunkFile  # the source up to the end of the spans
    spans: tuple[tuple[float, float], ...]
    weights: SpeakerWeights
    threads: int


class Ready(_Message, frozen=True, kw_only=True):
    """The model is warm. `missing`: the steps of isolation that the system refuses."""

    missing: tuple[str, ...]


class Progress(_Message, frozen=True, kw_only=True):
    """The progress of the request, 0 to 1. Any number of these come before the answer."""

    fraction: float


class ChunkWritten(_Message, frozen=True, kw_only=True):
    """A chunk file is complete; comes before Prepared."""

    chunk: ChunkFile


class WindowTranscribed(_Message, frozen=True, kw_only=True):
    """Segments of the chunk whose text is final, in order; comes before ChunkProcessed, with `stream_windows` only."""

    segments: tuple[WindowSegment, ...]
    is_last: bool = False


class Prepared(_Message, frozen=True, kw_only=True):
    audio: PreparedAudio
    peaks: PeakFiles


class ChunkProcessed(_Message, frozen=True, kw_only=True):
    """Times are seconds from the start of the source."""

    transcript: Transcript
    transcribed_in_s: float = 0.0
    denoised_in_s: float = 0.0  # 0: nothing to denoise


class Denoised(_Message, frozen=True, kw_only=True):
    pass


class PiecesEncoded(_Message, frozen=True, kw_only=True):
    channels: tuple[ChannelPieces, ...]  # one, unless channels are transcribed separately


class Joined(_Message, frozen=True, kw_only=True):
    pass


class AudioRedacted(_Message, frozen=True, kw_only=True):
    peaks: PeakFiles  # of the redacted copy


class VoicesFound(_Message, frozen=True, kw_only=True):
    pass


class TurnsFound(_Message, frozen=True, kw_only=True):
    turns: tuple[Turn, ...]
    matches: tuple[VoiceMatch, ...] = ()


class SampleEmbedded(_Message, frozen=True, kw_only=True):
    """The voice that speaks most, and the seconds of its clear speech; without speech, nothing and 0."""

    embedding: bytes
    speech_s: float


class RequestFailed(_Message, frozen=True, kw_only=True):
    """The request failed; the child can take another request."""

    code: FailureCode
    message: str
    transient: bool
    traceback: str


Request = (
    Warm
    | SplitSource
    | ProcessChunk
    | DenoiseChunk
    | EncodePieces
    | FindVoices
    | FindTurns
    | EmbedSample
    | JoinDenoised
    | RedactAudio
)
ToChild = Allow | Request
OfSpeakers = VoicesFound | TurnsFound | SampleEmbedded
FinalReply = Prepared | ChunkProcessed | Denoised | PiecesEncoded | OfSpeakers | Joined | AudioRedacted
EarlyReply = Progress | ChunkWritten | WindowTranscribed
Reply = Ready | EarlyReply | FinalReply | RequestFailed

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def frame(message: ToChild | Reply) -> bytes:
    """Return a message with its length prefix."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


def decode_reply(body: bytes) -> Reply:
    return _reply_decoder.decode(body)


def read_request(pipe: BinaryIO) -> ToChild | None:
    """Return the next request; None when the worker closed the pipe."""
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return _request_decoder.decode(pipe.read(HEADER.unpack(header)[0]))
