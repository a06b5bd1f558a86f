"""Who is heard in an hour or a second of audio, window by window, by the segmentation net.

A window of 10 s knows its own local speakers only. Each window answers for its middle, where it knows what comes before
and after; the middles join without overlap. Whether anybody speaks the net says by the mean of all windows that hear
the moment, and is not believed alone.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from processor_service.diarization.pieces import WindowActivity
from processor_service.diarization.pool_speech import speaks
from processor_service.diarization.powerset import decode
from processor_service.diarization.segmentation_net import (
    CLASSES,
    FRAME_SAMPLES,
    WINDOW_SAMPLES,
    SegmentationNet,
    frame_count,
)

WINDOW_FRAMES = frame_count(WINDOW_SAMPLES)
STEP_FRAMES = 296  # between two windows: 5 s, so that every moment is heard twice
STEP_SAMPLES = STEP_FRAMES * FRAME_SAMPLES
MARGIN_FRAMES = (WINDOW_FRAMES - STEP_FRAMES) // 2  # that a window leaves to its neighbours, on each side
WINDOWS_AT_ONCE = 8

FloatArray = npt.NDArray[np.float32]


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
