"""The nets on real voices: the turns are correct and independent of the cuts."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from processor_service.audio.load_mono import load_mono_16k
from processor_service.diarization.nets import SpeakerNets
from processor_service.diarization.segmentation_net import SAMPLE_RATE_HZ
from processor_service.diarization.speaker_turns import speaker_turns
from processor_service.diarization.voice_embeddings import find_voices
from shared.schemas.transcript import Turn
from tests.support.clips import CLIPS, Clip
from tests.system.diarization.conftest import Conversation
from tests.tools.benchmarks.diarization_error import diarization_error

pytestmark = pytest.mark.process

MAX_RATE = 0.15  # the errors are pauses within the clips


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """One thread: synchronisation at each layer of a small net takes longer than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _names(turns: tuple[Turn, ...]) -> set[str]:
    return {turn.speaker for turn in turns}


@pytest.mark.parametrize("cuts_s", [(), (8.6,), (15.0, 24.2), (4.0, 12.0, 20.0)], ids=str)
def test_two_speakers_are_found_with_any_cuts(
    nets: SpeakerNets, conversation: Conversation, cuts_s: tuple[float, ...]
) -> None:
    turns = speaker_turns(conversation.voices(nets, cuts_s))

    assert _names(turns) == {"SPEAKER_00", "SPEAKER_01"}
    assert turns[0].speaker == "SPEAKER_00"
    error = diarization_error(conversation.turns, turns)
    assert error.rate < MAX_RATE
    assert error.confused < 0.02


def test_the_number_of_speakers_keeps_the_bounds(nets: SpeakerNets, conversation: Conversation) -> None:
    voices = conversation.voices(nets)

    assert len(_names(speaker_turns(voices, at_most=1))) == 1
    assert len(_names(speaker_turns(voices, at_least=3))) == 3
    assert len(_names(speaker_turns(voices, at_least=2, at_most=2))) == 2


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem)
def test_one_speaker_is_found(nets: SpeakerNets, clip: Clip) -> None:
    turns = speaker_turns([find_voices(nets, load_mono_16k(clip.path), offset_s=100.0)])

    assert _names(turns) == {"SPEAKER_00"}
    assert turns[0].start >= 100.0


@pytest.mark.parametrize("seconds", [0, 0.01, 3, 25])
def test_silence_has_no_speakers(nets: SpeakerNets, seconds: float) -> None:
    silence = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)

    assert speaker_turns([find_voices(nets, silence, offset_s=0.0)]) == ()


def test_simultaneous_speakers_are_both_found(nets: SpeakerNets, conversation: Conversation) -> None:
    first, second = conversation.turns[:2]
    audio = conversation.audio.copy()
    overlap_s = 3.0
    early = round((second.start - overlap_s - 0.5) * SAMPLE_RATE_HZ)
    man = audio[round(second.start * SAMPLE_RATE_HZ) : round(second.end * SAMPLE_RATE_HZ)].copy()
    audio[early : early + len(man)] += man
    together = (early / SAMPLE_RATE_HZ, first.end)

    turns = speaker_turns([find_voices(nets, audio, offset_s=0.0)])

    shared_s = sum(max(0.0, min(turn.end, together[1]) - max(turn.start, together[0])) for turn in turns)
    assert shared_s > 1.5 * (together[1] - together[0])
