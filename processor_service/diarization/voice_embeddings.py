"""The voices of a chunk: every piece of speech with an embedding of whom it is spoken by.

The embedding net listens to one local speaker of one window at a time, to what he says alone, cut together; a piece's
embedding is that of the moments near it. So each second of speech goes through the net about once.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from processor_service.audio.find_speech import speech_probabilities
from processor_service.audio.speech_net import WINDOW
from processor_service.diarization import filter_bank
from processor_service.diarization.embedding_net import EmbeddingNet
from processor_service.diarization.nets import SpeakerNets
from processor_service.diarization.pieces import Piece, WindowActivity, cut_pieces, telling_frames
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
from processor_service.diarization.voices import HeardPiece, Voices, voices_of

FloatArray = npt.NDArray[np.float32]


# Whether anybody speaks, frame by frame: the mean of two opinions, the segmentation net's and the speech detector's.
#
# A linear opinion pool (Stone, "The Opinion Pool", 1961). The net alone takes dead silence between two people for
# speech and laughter for silence; the detector alone misses those who speak softly or far from the microphone.

# From which on somebody speaks. Either may be sure alone; chosen by the frames that were wrong on the files that the
# README names.
SPEECH_PROBABILITY = 0.3


def speaks(heard: FloatArray, audio: FloatArray) -> npt.NDArray[np.bool_]:
    """At which frames somebody speaks; `heard` is what the net says of each frame of 16 kHz mono audio."""
    spoken: npt.NDArray[np.bool_] = (heard + _detected(audio, len(heard))) / 2 > SPEECH_PROBABILITY
    return spoken


def _detected(audio: FloatArray, frames: int) -> FloatArray:
    """What the detector says at the middle of each frame of the net; after the audio's end there is no speech."""
    probabilities = speech_probabilities(audio)
    if not len(probabilities):
        return np.zeros(frames, np.float32)
    middles = np.arange(frames) * FRAME_SAMPLES + (RECEPTIVE_SAMPLES - 1) / 2
    windows = (np.arange(len(probabilities)) + 0.5) * WINDOW
    detected: FloatArray = np.interp(middles, windows, probabilities, right=0.0).astype(np.float32)
    return detected


# Who is heard in an hour or a second of audio, window by window, by the segmentation net.
#
# A window of 10 s knows its own local speakers only. Each window answers for its middle, where it knows what comes
# before and after; the middles join without overlap. Whether anybody speaks the net says by the mean of all windows
# that hear the moment, and is not believed alone.

WINDOW_FRAMES = frame_count(WINDOW_SAMPLES)
STEP_FRAMES = 296  # between two windows: 5 s, so that every moment is heard twice
STEP_SAMPLES = STEP_FRAMES * FRAME_SAMPLES
MARGIN_FRAMES = (WINDOW_FRAMES - STEP_FRAMES) // 2  # that a window leaves to its neighbours, on each side
WINDOWS_AT_ONCE = 8


class HeardWindow(msgspec.Struct, frozen=True):
    """A window, and the frames of it (from start to end) that it answers for."""

    start_sample: int
    activity: WindowActivity
    speech: FloatArray  # (frames,): the net's probability that anybody speaks
    start: int
    end: int


def hear_speakers(
    net: SegmentationNet, audio: FloatArray, on_progress: Callable[[float], None]
) -> Iterator[HeardWindow]:
    """The windows of 16 kHz mono audio in order. `net` runs to the end first: it takes 6 MB for half an hour."""
    probabilities = _probabilities(net, audio, on_progress)
    speech = _speech(probabilities)
    spoken = speaks(speech, audio)
    last = len(probabilities) - 1
    for number, window in enumerate(probabilities):
        first_frame = number * STEP_FRAMES
        here = slice(first_frame, first_frame + WINDOW_FRAMES)
        sets = window * (np.arange(CLASSES) > 0)  # the first class is silence, which is decided on already
        yield HeardWindow(
            start_sample=first_frame * FRAME_SAMPLES,
            activity=decode(sets) & spoken[here, None],
            speech=speech[here],
            start=MARGIN_FRAMES if number else 0,
            end=WINDOW_FRAMES if number == last else MARGIN_FRAMES + STEP_FRAMES,
        )


def window_at(audio: npt.NDArray[np.float32], start_sample: int) -> FloatArray:
    """Ten seconds of the audio, with silence after its end."""
    window = audio[start_sample : start_sample + WINDOW_SAMPLES]
    return np.pad(window, (0, WINDOW_SAMPLES - len(window)))


def _probabilities(net: SegmentationNet, audio: FloatArray, on_progress: Callable[[float], None]) -> FloatArray:
    """(windows, frames, classes); the last window reaches the end of the audio."""
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
    """The probability that anybody speaks, over all frames of the audio."""
    total = np.zeros((len(probabilities) - 1) * STEP_FRAMES + WINDOW_FRAMES, np.float32)
    windows = np.zeros_like(total)
    for number, window in enumerate(probabilities):
        frames = slice(number * STEP_FRAMES, number * STEP_FRAMES + WINDOW_FRAMES)
        total[frames] += 1 - window[:, 0]
        windows[frames] += 1
    speech: FloatArray = total / windows
    return speech


CONTEXT_FRAMES = round(3.0 / FRAME_S)  # of a local speaker that the net hears at least, where he speaks so long
HEARING_SHARE = 0.2  # of the time; the rest goes into embeddings
CLEAR_SPEECH = 0.75  # the probability of speech from which on a piece is surely that
MIN_STEPS = 10  # 0.2 s; fewer do not tell a voice

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
