"""Find the voices of a chunk: pieces of speech, each with an embedding of its speaker.

The embedding net gets the frames in which one local speaker of one window speaks alone, joined. The embedding of a
piece is that of the frames near it. So each second of speech passes the net about once.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from processor_service.audio.find_speech import QUIET_PEAK
from processor_service.audio.level import in_windows
from processor_service.audio.speech_net import WINDOW, speech_net
from processor_service.diarization import filter_bank
from processor_service.diarization.embedding_net import EmbeddingNet
from processor_service.diarization.nets import SpeakerNets
from processor_service.diarization.pieces import COARSE, FINE, Grain, Piece, WindowActivity, cut_pieces, distinct_frames
from processor_service.diarization.segmentation_net import (
    CLASSES,
    FRAME_S,
    FRAME_SAMPLES,
    RECEPTIVE_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    SegmentationNet,
    decode,
    frame_count,
)
from processor_service.diarization.voices import VoicePiece, Voices, pieces_of

FloatArray = npt.NDArray[np.float32]

# Frames above it are speech; either source may decide alone. Chosen by the wrong frames on the files of
# docs/benchmarks.md.
SPEECH_PROBABILITY = 0.3
SILENT_PEAK = 1e-4  # softer sound is not amplified


def is_speech(net: FloatArray, audio: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each frame of 16 kHz mono audio is speech; `net` has the segmentation net's probabilities of speech.

    A linear opinion pool (Stone, "The Opinion Pool", 1961): the mean of the net and the speech detector. The net alone
    takes digital silence between two speakers for speech, and laughter for silence; the detector alone misses soft and
    distant speech.
    """
    spoken: npt.NDArray[np.bool_] = (net + _detected(audio, len(net))) / 2 > SPEECH_PROBABILITY
    return spoken


def _detected(audio: FloatArray, frames: int) -> FloatArray:
    """The detector's probability at the middle of each frame of the net; 0 after the end of the audio."""
    probabilities = _speech_probabilities(audio)
    if not len(probabilities):
        return np.zeros(frames, np.float32)
    middles = np.arange(frames) * FRAME_SAMPLES + (RECEPTIVE_SAMPLES - 1) / 2
    windows = (np.arange(len(probabilities)) + 0.5) * WINDOW
    detected: FloatArray = np.interp(middles, windows, probabilities, right=0.0).astype(np.float32)
    return detected


def _speech_probabilities(audio: FloatArray) -> FloatArray:
    """The detector's probability of each window, with one gain for the whole recording.

    Transcription amplifies soft sound locally, to lose no word. Here that would find speakers in the background.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    gain = QUIET_PEAK / peak if SILENT_PEAK < peak < QUIET_PEAK else 1.0
    return speech_net().probabilities(in_windows(audio) * np.float32(gain))


WINDOW_FRAMES = frame_count(WINDOW_SAMPLES)
STEP_FRAMES = 296  # between two windows: 5 s, so that two windows contain every frame
STEP_SAMPLES = STEP_FRAMES * FRAME_SAMPLES
MARGIN_FRAMES = (WINDOW_FRAMES - STEP_FRAMES) // 2  # on each side of a window, which belong to its neighbours
WINDOWS_AT_ONCE = 8


class ActivityWindow(msgspec.Struct, frozen=True):
    """A window of 10 s with its own local speakers. Its frames from `start` to `end` are used, which have context."""

    start_sample: int
    activity: WindowActivity
    speech: FloatArray  # (frames,): the net's probability of speech, the mean over all windows
    start: int
    end: int


def find_activity(
    net: SegmentationNet, audio: FloatArray, on_progress: Callable[[float], None]
) -> Iterator[ActivityWindow]:
    """The windows of 16 kHz mono audio in order. The net processes all audio first: 6 MB for half an hour."""
    probabilities = _probabilities(net, audio, on_progress)
    speech = _speech(probabilities)
    spoken = is_speech(speech, audio)
    last = len(probabilities) - 1
    for number, window in enumerate(probabilities):
        first_frame = number * STEP_FRAMES
        frames = slice(first_frame, first_frame + WINDOW_FRAMES)
        sets = window * (np.arange(CLASSES) > 0)  # without the first class, silence, which `spoken` decides
        yield ActivityWindow(
            start_sample=first_frame * FRAME_SAMPLES,
            activity=decode(sets) & spoken[frames, None],
            speech=speech[frames],
            start=MARGIN_FRAMES if number else 0,
            end=WINDOW_FRAMES if number == last else MARGIN_FRAMES + STEP_FRAMES,
        )


def window_at(audio: npt.NDArray[np.float32], start_sample: int) -> FloatArray:
    """10 s of the audio, padded with silence."""
    window = audio[start_sample : start_sample + WINDOW_SAMPLES]
    return np.pad(window, (0, WINDOW_SAMPLES - len(window)))


def _probabilities(net: SegmentationNet, audio: FloatArray, on_progress: Callable[[float], None]) -> FloatArray:
    """The class probabilities, (windows, frames, classes). The last window reaches the end of the audio."""
    count = max(0, -(-(len(audio) - WINDOW_SAMPLES) // STEP_SAMPLES)) + 1
    batches = []
    for first in range(0, count, WINDOWS_AT_ONCE):
        numbers = range(first, min(first + WINDOWS_AT_ONCE, count))
        batch = np.stack([window_at(audio, number * STEP_SAMPLES) for number in numbers])
        with torch.inference_mode():
            batches.append(net(torch.from_numpy(batch)).exp().numpy())
        on_progress((first + len(numbers)) / count)
    return np.concatenate(batches)


def _speech(probabilities: FloatArray) -> FloatArray:
    """The probability of speech for all frames of the audio: the mean of the windows that contain a frame."""
    total = np.zeros((len(probabilities) - 1) * STEP_FRAMES + WINDOW_FRAMES, np.float32)
    windows = np.zeros_like(total)
    for number, window in enumerate(probabilities):
        frames = slice(number * STEP_FRAMES, number * STEP_FRAMES + WINDOW_FRAMES)
        total[frames] += 1 - window[:, 0]
        windows[frames] += 1
    speech: FloatArray = total / windows
    return speech


CONTEXT_FRAMES = round(3.0 / FRAME_S)  # the minimum for the embedding net, if the local speaker has as many
SEGMENTATION_SHARE = 0.2  # of the time; embeddings take the rest
CLEAR_SPEECH = 0.75  # the probability of speech from which a piece is clear
MIN_STEPS = 10  # 0.2 s; fewer do not distinguish voices

Frames = npt.NDArray[np.intp]


def find_voices(
    nets: SpeakerNets,
    audio: FloatArray,
    *,
    offset_s: float,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Voices:
    """Find the voices in 16 kHz mono audio of any length that begins at `offset_s` in the source."""
    found: dict[Grain, _Found] = {COARSE: _Found([], []), FINE: _Found([], [])}
    duration_s = len(audio) / SAMPLE_RATE_HZ
    for window in find_activity(nets.segmentation, audio, lambda done: on_progress(SEGMENTATION_SHARE * done)):
        for piece, embedding in _embedded_pieces(nets.embedding, window, audio):
            voice = _voice_piece(piece, window, offset_s=offset_s, duration_s=duration_s)
            if voice.end > voice.start:
                found[piece.grain].pieces.append(voice)
                found[piece.grain].embeddings.append(embedding)
        done = min(1.0, (window.start_sample / SAMPLE_RATE_HZ + _edge_s(window.end)) / max(duration_s, FRAME_S))
        on_progress(SEGMENTATION_SHARE + (1 - SEGMENTATION_SHARE) * done)
    coarse = pieces_of(*found[COARSE])
    return Voices(pieces=coarse.pieces, embeddings=coarse.embeddings, fine=pieces_of(*found[FINE]))


class _Found(NamedTuple):
    pieces: list[VoicePiece]
    embeddings: list[FloatArray]


def _voice_piece(piece: Piece, window: ActivityWindow, *, offset_s: float, duration_s: float) -> VoicePiece:
    """The piece in seconds of the source. It is empty after the end of the audio."""
    start_s = window.start_sample / SAMPLE_RATE_HZ
    start, end = start_s + _edge_s(piece.start), min(start_s + _edge_s(piece.end), duration_s)
    is_clear = piece.is_alone and window.speech[piece.start : piece.end].mean() >= CLEAR_SPEECH
    return VoicePiece(offset_s + start, offset_s + end, bool(is_clear))


def _embedded_pieces(net: EmbeddingNet, window: ActivityWindow, audio: FloatArray) -> list[tuple[Piece, FloatArray]]:
    grains = (COARSE, FINE)
    pieces = [one for grain in grains for one in cut_pieces(window.activity, window.start, window.end, grain)]
    if not pieces:
        return []
    features = filter_bank.filter_bank(window_at(audio, window.start_sample))
    embedded = []
    pieces.sort(key=lambda piece: piece.local_speaker)
    for speaker, own in groupby(pieces, key=lambda piece: piece.local_speaker):
        embedded += _embedded(net, features, list(own), distinct_frames(window.activity, speaker))
    return embedded


def _embedded(
    net: EmbeddingNet, features: FloatArray, pieces: Sequence[Piece], distinct: Frames
) -> list[tuple[Piece, FloatArray]]:
    """The embeddings of the pieces of one local speaker. A piece with too few steps is left out."""
    frames_of_hops = _frames_of_hops(len(features))
    hops = np.flatnonzero(np.isin(frames_of_hops, _context(pieces, distinct)))
    if len(hops) < 2 * MIN_STEPS:
        return []
    chosen = features[hops]
    with torch.inference_mode():
        steps = net.steps(torch.from_numpy(chosen - chosen.mean(axis=0)))
        frames_of_steps = frames_of_hops[hops][::2][: len(steps)]
        return [
            (piece, net.embedding(steps[torch.from_numpy(chosen_steps)]).numpy())
            for piece in pieces
            if (chosen_steps := np.isin(frames_of_steps, piece.embedded)).sum() >= MIN_STEPS
        ]


def _context(pieces: Sequence[Piece], distinct: Frames) -> Frames:
    """The frames that the net gets: those of the pieces, and more of the speaker if these are few."""
    used = np.unique(np.concatenate([np.array(piece.embedded, np.intp) for piece in pieces]))
    others = np.setdiff1d(distinct, used)
    missing = max(0, CONTEXT_FRAMES - len(used))
    nearest = others[np.argsort(np.abs(others - used.mean()), kind="stable")[:missing]]
    return np.union1d(used, nearest)


def _frames_of_hops(count: int) -> Frames:
    """The nearest segmentation frame of each feature frame."""
    middles = np.arange(count) * filter_bank.STEP_SAMPLES + filter_bank.FRAME_SAMPLES / 2
    frames: Frames = np.rint((middles - (RECEPTIVE_SAMPLES - 1) / 2) / FRAME_SAMPLES).astype(np.intp)
    return np.maximum(frames, 0)


def _edge_s(frame: int) -> float:
    """The start of a frame in seconds of its window: half-way between its middle and that of the frame before."""
    return max(0.0, ((frame - 0.5) * FRAME_SAMPLES + (RECEPTIVE_SAMPLES - 1) / 2) / SAMPLE_RATE_HZ)
