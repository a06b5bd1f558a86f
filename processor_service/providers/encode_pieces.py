"""Cuts audio into the files that providers get: FLAC, 16 kHz mono, speech only. Runs in a compute child."""

from collections.abc import Sequence
from pathlib import Path

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.flac import FlacWriter
from processor_service.providers.plan_pieces import ChannelPieces, Piece, plan_pieces
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.windows import plan_windows


def encode_pieces(audio: FloatArray, out_dir: Path, longest_s: Sequence[float]) -> ChannelPieces:
    """The pieces of 16 kHz mono, written into a folder of their own; a set for each of the longest lengths."""
    duration_s = len(audio) / SAMPLE_RATE_HZ
    windows = plan_windows(speech_regions(audio, FINE), duration_s)
    sets = tuple(
        _encode(audio, plan_pieces(windows, one_s), out_dir / str(number)) for number, one_s in enumerate(longest_s)
    )
    return ChannelPieces(duration_s=duration_s, sets=sets)


def _encode(audio: FloatArray, planned: Sequence[tuple[Span, ...]], folder: Path) -> tuple[Piece, ...]:
    folder.mkdir(parents=True)
    pieces = []
    for number, spans in enumerate(planned):
        path = folder / f"{number}.flac"
        with FlacWriter(path, SAMPLE_RATE_HZ, 1, bit_depth=16) as file:
            for start_s, end_s in spans:
                file.write(audio[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ), None])
        pieces.append(Piece(path=str(path), spans=spans))
    return tuple(pieces)
