"""The voices of a chunk: every piece of speech with an embedding of whom it is spoken by.

The embedding net listens to one local speaker of one window at a time, to what he says alone, cut together; a piece's
embedding is that of the moments near it. So each second of speech goes through the net about once.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from processor_service.diarization import filter_bank
from processor_service.diarization.embedding_net import EmbeddingNet
from processor_service.diarization.hear_speakers import HeardWindow, hear_speakers, window_at
from processor_service.diarization.nets import SpeakerNets
from processor_service.diarization.pieces import Piece, cut_pieces, telling_frames
from processor_service.diarization.segmentation_net import FRAME_S, FRAME_SAMPLES, RECEPTIVE_SAMPLES, SAMPLE_RATE_HZ
from processor_service.diarization.voices import HeardPiece, Voices, voices_of

CONTEXT_FRAMES = round(3.0 / FRAME_S)  # of a local speaker that the net hears at least, where he speaks so long
HEARING_SHARE = 0.2  # of the time; the rest goes into embeddings
CLEAR_SPEECH = 0.75  # the probability of speech from which on a piece is surely that
MIN_STEPS = 10  # 0.2 s; fewer do not tell a voice

FloatArray = npt.NDArray[np.float32]
Frames = npt.NDArray[np.intp]


def find_voices(
    nets: SpeakerNets,
    audio: FloatArray,
    *,
    offset_s: float,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Voices:
    """The voices in 16 kHz mono audio of any length; `offset_s` is where it begins in the source."""
    pieces: list[HeardPiece] = []
    embeddings: list[FloatArray] = []
    duration_s = len(audio) / SAMPLE_RATE_HZ
    for window in hear_speakers(nets.segmentation, audio, lambda done: on_progress(HEARING_SHARE * done)):
        start_s = window.start_sample / SAMPLE_RATE_HZ
        for piece, embedding in _heard_in(nets.embedding, window, audio):
            span = (start_s + _edge_s(piece.start), min(start_s + _edge_s(piece.end), duration_s))
            if span[1] > span[0]:
                is_clear = piece.is_alone and window.speech[piece.start : piece.end].mean() >= CLEAR_SPEECH
                pieces.append(HeardPiece(offset_s + span[0], offset_s + span[1], bool(is_clear)))
                embeddings.append(embedding)
        done = min(1.0, (start_s + _edge_s(window.end)) / max(duration_s, FRAME_S))
        on_progress(HEARING_SHARE + (1 - HEARING_SHARE) * done)
    return voices_of(pieces, embeddings)


def _heard_in(net: EmbeddingNet, window: HeardWindow, audio: FloatArray) -> list[tuple[Piece, FloatArray]]:
    pieces = list(cut_pieces(window.activity, window.start, window.end))
    if not pieces:
        return []
    features = filter_bank.filter_bank(window_at(audio, window.start_sample))
    heard = []
    for speaker, own in groupby(pieces, key=lambda piece: piece.local_speaker):
        heard += _embedded(net, features, list(own), telling_frames(window.activity, speaker))
    return heard


def _embedded(
    net: EmbeddingNet, features: FloatArray, pieces: Sequence[Piece], telling: Frames
) -> list[tuple[Piece, FloatArray]]:
    """The embeddings of the pieces of one local speaker; a piece that nothing tells the voice of is left out."""
    frames_of_hops = _frames_of_hops(len(features))
    hops = np.flatnonzero(np.isin(frames_of_hops, _context(pieces, telling)))
    if len(hops) < 2 * MIN_STEPS:
        return []
    chosen = features[hops]
    with torch.inference_mode():
        steps = net.steps(torch.from_numpy(chosen - chosen.mean(axis=0)))
        frames_of_steps = frames_of_hops[hops][::2][: len(steps)]
        return [
            (piece, net.embedding(steps[torch.from_numpy(told)]).numpy())
            for piece in pieces
            if (told := np.isin(frames_of_steps, piece.listen)).sum() >= MIN_STEPS
        ]


def _context(pieces: Sequence[Piece], telling: Frames) -> Frames:
    """The frames that the net is shown: all that the pieces listen to, and more of the speaker if that is little."""
    listened = np.unique(np.concatenate([np.array(piece.listen, np.intp) for piece in pieces]))
    others = np.setdiff1d(telling, listened)
    missing = max(0, CONTEXT_FRAMES - len(listened))
    nearest = others[np.argsort(np.abs(others - listened.mean()), kind="stable")[:missing]]
    return np.union1d(listened, nearest)


def _frames_of_hops(count: int) -> Frames:
    """The segmentation frame that is nearest to each frame of the features."""
    middles = np.arange(count) * filter_bank.STEP_SAMPLES + filter_bank.FRAME_SAMPLES / 2
    frames: Frames = np.rint((middles - (RECEPTIVE_SAMPLES - 1) / 2) / FRAME_SAMPLES).astype(np.intp)
    return np.maximum(frames, 0)


def _edge_s(frame: int) -> float:
    """Where a frame begins, in seconds of its window: half-way between its middle and the one before."""
    return max(0.0, ((frame - 0.5) * FRAME_SAMPLES + (RECEPTIVE_SAMPLES - 1) / 2) / SAMPLE_RATE_HZ)
