"""Whether anybody speaks, frame by frame: the mean of two opinions, the segmentation net's and the speech detector's.

A linear opinion pool (Stone, "The Opinion Pool", 1961). The net alone takes dead silence between two people for speech
and laughter for silence; the detector alone misses those who speak softly or far from the microphone.
"""

import numpy as np
import numpy.typing as npt

from processor_service.audio.find_speech import speech_probabilities
from processor_service.audio.speech_net import WINDOW
from processor_service.diarization.segmentation_net import FRAME_SAMPLES, RECEPTIVE_SAMPLES

# From which on somebody speaks. Either may be sure alone; chosen by the frames that were wrong on the files that the
# README names.
SPEECH_PROBABILITY = 0.3

FloatArray = npt.NDArray[np.float32]


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
