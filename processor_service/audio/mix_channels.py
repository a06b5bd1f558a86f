"""Mix channels to one, so that speech in any of them is heard: decide which mix, in steps of 160 ms.

The usual mix (the mean, or the downmix of ITU-R BS.775 for 3 to 8 channels in FLAC's order) is the rule. Where it loses
speech (opposite phases cancel, or another channel's noise or music covers it), another mix takes over.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from processor_service.audio.find_speech import speech_probabilities
from processor_service.audio.segments import segments
from processor_service.audio.source import Block, Mono
from processor_service.audio.speech_net import WINDOW

Floats = npt.NDArray[np.float32]

FRAMES_PER_STEP = 5
STEP = FRAMES_PER_STEP * WINDOW  # samples: 160 ms, the length of a cross-fade
SEGMENT = 200 * STEP  # samples decided at a time: 32 s; bounds the memory
CONTEXT = 20 * STEP  # samples on both sides that a decision also reads: longer than LEVEL_FRAMES

MINUS_3_DB = 0.7071
SURROUND = 0.5
# The usual mix by number of channels: L R C; L R BL BR; L R C BL BR; L R C LFE BL BR; L R C LFE BC SL SR; …
DOWNMIXES = {
    3: (MINUS_3_DB, MINUS_3_DB, 1.0),
    4: (1.0, 1.0, SURROUND, SURROUND),
    5: (MINUS_3_DB, MINUS_3_DB, 1.0, SURROUND, SURROUND),
    6: (MINUS_3_DB, MINUS_3_DB, 1.0, 0.0, SURROUND, SURROUND),
    7: (MINUS_3_DB, MINUS_3_DB, 1.0, 0.0, SURROUND, SURROUND, SURROUND),
    8: (MINUS_3_DB, MINUS_3_DB, 1.0, 0.0, SURROUND, SURROUND, SURROUND, SURROUND),
}

PRE_EMPHASIS = 0.9  # attenuates hum, which neither covers speech nor disturbs the model much
LEVEL_FRAMES = 31  # 1 s: speech pauses within this
LOUD_SHARE, SOFT_SHARE = 0.9, 0.1  # quantiles of the level that stand for speech and for what sounds in its pauses
UNCLEAR_DB, CLEAR_DB = 5.0, 15.0  # between those levels: less is no speech, and more is no better
CANCELLED = 0.1  # a mix with less than this fraction of the energy of uncorrelated channels has cancelled
RANGE_DB = 70.0  # below the loudest level, all is silence
LOUD_RANGE_DB = 30.0  # below the loudest level, what channels have for themselves is no reason to look for speech
USUAL_BONUS = 0.15  # of 1: another mix must be clearer by this much
SWITCH_COST = 1.0  # as much as a step of lost speech
REACH_FRAMES = 6  # speech is expected this long before and after it is detected
WORTH_A_LOOK = 0.2  # difference of clearness, below which speech detection is not run


def mix_channels(block: Block) -> Mono:
    """Mix (frames, channels) at 16 kHz that are in memory as a whole."""
    return np.concatenate([np.zeros(0, np.float32), *mix_stream([block])])


def mix_stream(blocks: Iterable[Block]) -> Iterator[Mono]:
    """Mix a stream of blocks (frames, channels) at 16 kHz."""
    last: Floats | None = None
    for piece, lead, length in segments(blocks, SEGMENT, CONTEXT):
        if piece.shape[1] == 1:
            yield piece[lead : lead + length, 0]
            continue
        weights = choose_weights(piece, lead // STEP, last)[: -(-length // STEP)]
        yield apply_weights(piece[lead : lead + length], weights, weights[0] if last is None else last)
        last = weights[-1]


def apply_weights(block: Block, weights: Floats, before: Floats) -> Mono:
    """Mix with the weights (steps, channels) of each step. Each is reached at the end of its step."""
    mono = np.empty(len(block), np.float32)
    ramp = (np.arange(STEP, dtype=np.float32)[:, np.newaxis] + 1) / STEP
    for step, weight in enumerate(weights):
        part = block[step * STEP : (step + 1) * STEP]
        fading = before + (weight - before) * ramp[: len(part)] if np.any(weight != before) else weight
        mono[step * STEP : step * STEP + len(part)] = (part * fading).sum(axis=1)
        before = weight
    return mono


def choose_weights(piece: Block, first_step: int, before: Floats | None) -> Floats:
    """Return the weights (steps, channels) of each step from `first_step`; `before` are those of the step before it."""
    mixes = possible_mixes(piece.shape[1])
    covariances = frame_covariances(piece)
    energies = np.asarray(((mixes @ covariances) * mixes).sum(axis=-1))
    clear = clearness(energies)
    usual = _usual(energies, covariances, mixes)
    steps = _by_step(covariances)
    foreign = foreign_shares(mixes, steps)
    path = np.full(len(steps), usual)
    loud = steps.max(axis=(1, 2)) > steps.max(initial=0.0) * 10 ** (-LOUD_RANGE_DB / 10)
    if _is_worth_a_look(clear, foreign[loud], usual):
        scores = without_foreign(_by_step(_scores(piece, mixes, clear)), foreign)
        scores[:, usual] += USUAL_BONUS
        path = best_path(scores)
    return _without_sign_changes(mixes[path] * _gains(steps, mixes, path), steps, first_step, before)


def possible_mixes(channels: int) -> Floats:
    """Return the weights of each possible mix, (mixes, channels). The first is the usual one."""
    single = np.eye(channels)
    mean = np.full((1, channels), 1 / channels)
    if channels == 2:
        return np.concatenate([mean, [[0.5, -0.5]], single]).astype(np.float32)
    usual = np.array([DOWNMIXES[channels]])
    return np.concatenate([usual / usual.sum(), mean, single]).astype(np.float32)


def frame_covariances(piece: Block) -> Floats:
    """Return the covariance of the channels in each 32 ms: (frames, channels, channels). Any mix's energy follows."""
    channels = piece.shape[1]
    frames = np.zeros((-(-len(piece) // WINDOW), WINDOW, channels), np.float32)
    flat = frames.reshape(-1, channels)
    flat[: len(piece)] = piece
    flat[1 : len(piece)] -= np.float32(PRE_EMPHASIS) * piece[:-1]
    return np.asarray(frames.transpose(0, 2, 1) @ frames / np.float32(WINDOW))


def clearness(energies: Floats) -> Floats:
    """Return how far speech would rise over what else sounds, 0 to 1, of each frame and mix: (frames, mixes).

    What else sounds is heard in pauses; the louder of those before and after counts, so that noise is noticed at once.
    """
    silence = 1e-10 + float(energies.max(initial=0.0)) * 10 ** (-RANGE_DB / 10)
    levels_db = 10 * np.log10(np.maximum(energies, silence))
    soft, loud = _quantiles(levels_db, SOFT_SHARE), _quantiles(levels_db, LOUD_SHARE)
    frames, last = np.arange(len(levels_db)), len(soft) - 1
    before, around, after = (np.clip(frames - lead, 0, last) for lead in (LEVEL_FRAMES - 1, LEVEL_FRAMES // 2, 0))
    rise_db = loud[around] - np.maximum(soft[before], soft[after])
    return np.asarray(np.clip((rise_db - UNCLEAR_DB) / (CLEAR_DB - UNCLEAR_DB), 0, 1), np.float32)


def _quantiles(levels_db: Floats, share: float) -> Floats:
    """The quantile of each window of LEVEL_FRAMES frames."""
    padded = np.pad(levels_db, ((0, max(0, LEVEL_FRAMES - len(levels_db))), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, LEVEL_FRAMES, axis=0)
    index = round(share * (LEVEL_FRAMES - 1))
    return np.asarray(np.partition(windows, index, axis=-1)[..., index], np.float32)


def _usual(energies: Floats, covariances: Floats, mixes: Floats) -> int:
    """Return the mix to use where none is clearer: the first, or the loudest channel if the first cancels."""
    if energies[:, 0].sum() > CANCELLED * (_channel_energies(covariances) @ mixes[0] ** 2):
        return 0
    return int((energies.sum(axis=0) * (np.count_nonzero(mixes, axis=1) == 1)).argmax())


def foreign_shares(mixes: Floats, covariances: Floats) -> Floats:
    """Return the share of each mix's energy that one channel alone does not explain: (steps, mixes, channels)."""
    common = mixes @ covariances
    energies = (common * mixes).sum(axis=-1)[..., np.newaxis] * np.einsum("tii->ti", covariances)[:, np.newaxis]
    return np.asarray(np.clip(1 - common**2 / np.maximum(energies, 1e-20), 0, 1), np.float32)


def without_foreign(scores: Floats, foreign: Floats) -> Floats:
    """Return the scores, less where only one channel has speech, for mixes that add what the others have."""
    channels = foreign.shape[2]
    speech = scores[:, -channels:]
    others = np.stack([np.delete(speech, channel, axis=1).max(axis=1) for channel in range(channels)], axis=1)
    alone = np.clip(speech * (1 - others), 0, 1)
    lost = (foreign * alone[:, np.newaxis]).max(axis=-1)
    lost[:, -channels:] = 0
    return np.asarray(scores * (1 - lost))


def _is_worth_a_look(clear: Floats, foreign: Floats, usual: int) -> bool:
    is_clearer = clear.max(axis=1) > clear[:, usual] + WORTH_A_LOOK
    return bool(is_clearer.any() or (foreign[:, usual].min(axis=-1) > WORTH_A_LOOK).any())


def _scores(piece: Block, mixes: Floats, clear: Floats) -> Floats:
    """Return how much clear speech each mix has in each frame, 0 to 1: (frames, mixes)."""
    return np.stack([_spread(speech_probabilities(piece @ mix)) for mix in mixes], axis=1) * clear


def _spread(probabilities: Floats) -> Floats:
    """The maximum of the frames around each."""
    padded = np.pad(probabilities, REACH_FRAMES)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH_FRAMES + 1).max(axis=1))


def _by_step(frames: Floats) -> Floats:
    """The mean of the frames of each step."""
    starts = np.arange(0, len(frames), FRAMES_PER_STEP)
    counts = np.diff(np.append(starts, len(frames))).reshape(-1, *[1] * (frames.ndim - 1))
    return np.asarray(np.add.reduceat(frames, starts, axis=0) / counts, np.float32)


def best_path(scores: Floats) -> npt.NDArray[np.int64]:
    """Return the choice of each step, (steps,), with the highest sum of scores (steps, choices) less the switches."""
    total = np.zeros(scores.shape[1], np.float64)
    origins = np.zeros(scores.shape, np.int64)
    for step, score in enumerate(scores):
        best = int(total.argmax())
        stays = total >= total[best] - SWITCH_COST
        origins[step] = np.where(stays, np.arange(len(total)), best)
        total = np.where(stays, total, total[best] - SWITCH_COST) + score
    path = np.empty(len(scores), np.int64)
    choice = int(total.argmax())
    for step in reversed(range(len(scores))):
        path[step], choice = choice, origins[step, choice]
    return path


def _gains(covariances: Floats, mixes: Floats, path: npt.NDArray[np.int64]) -> Floats:
    """Return a gain for each step, (steps, 1): a mix of several has the level of their loudest where it is used."""
    gains = np.ones((len(path), 1), np.float32)
    for number in np.unique(path):
        if np.count_nonzero(mixes[number]) == 1:
            continue
        used = covariances[path == number].sum(axis=0)
        level = max(float(mixes[number] @ used @ mixes[number]), 1e-12)
        gains[path == number] = np.clip(np.sqrt(used.diagonal().max() / level), 1.0, len(used))
    return gains


def _channel_energies(covariances: Floats) -> Floats:
    return np.asarray(np.einsum("tii->i", covariances))


def _without_sign_changes(weights: Floats, covariances: Floats, first_step: int, before: Floats | None) -> Floats:
    """Return the weights from `first_step`, with signs such that a cross-fade from one to the next does not cancel."""
    signed = weights[first_step:].copy()
    last = signed[0] if before is None else before
    for step, weight in enumerate(signed):
        if float(last @ covariances[first_step + step] @ weight) < 0:
            signed[step] = -weight
        last = signed[step]
    return signed
