"""The nets, from a package (tests that need them skip without it), and a conversation of two speakers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from processor_service.audio.load_mono import load_mono_16k
from processor_service.diarization.nets import SpeakerNets, load_nets
from processor_service.diarization.segmentation_net import SAMPLE_RATE_HZ
from processor_service.diarization.voice_embeddings import FloatArray, find_voices
from processor_service.diarization.voices import Voices
from shared.schemas.transcript import Turn
from tests.support.clips import GUTENBERG, NARRATIVE, PICTURE_BOOKS
from tests.support.models import speaker_weights

PAUSE_S = 0.5


class Conversation(NamedTuple):
    """Audio with its speaker turns."""

    audio: FloatArray
    turns: tuple[Turn, ...]

    def voices(self, nets: SpeakerNets, cuts_s: Sequence[float] = ()) -> list[Voices]:
        """The voices of the chunks between the cuts."""
        edges = [0.0, *cuts_s, len(self.audio) / SAMPLE_RATE_HZ]
        samples = [round(edge * SAMPLE_RATE_HZ) for edge in edges]
        return [
            find_voices(nets, self.audio[start:end], offset_s=start / SAMPLE_RATE_HZ)
            for start, end in pairwise(samples)
        ]


@pytest.fixture(scope="session")
def nets() -> SpeakerNets:
    weights = speaker_weights()
    if weights is None:
        pytest.skip("the package with the nets for diarization is not available")
    return load_nets(weights)


@pytest.fixture(scope="session")
def conversation() -> Conversation:
    """A woman and a man speak alternately, each twice."""
    man = load_mono_16k(NARRATIVE.path)
    half = len(man) // 2
    woman = [load_mono_16k(clip.path) for clip in (GUTENBERG, PICTURE_BOOKS)]
    return _joined([("woman", woman[0]), ("man", man[:half]), ("woman", woman[1]), ("man", man[half:])])


def _joined(parts: Sequence[tuple[str, FloatArray]]) -> Conversation:
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    audio: list[FloatArray] = []
    turns = []
    for name, part in parts:
        start_s = sum(map(len, audio)) / SAMPLE_RATE_HZ
        turns.append(Turn(speaker=name, start=start_s, end=start_s + len(part) / SAMPLE_RATE_HZ))
        audio += [part, pause]
    return Conversation(np.concatenate(audio), tuple(turns))
