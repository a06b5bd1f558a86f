"""Find which channels have speech of their own when channels hear each other: the audio of `channels=separate`.

A channel's sound is cross-talk where another channel explains it: with one delay and one transfer function, estimated
where the other is the louder. Uncorrelated channels explain nothing, however soft one of them is.
"""

from collections.abc import Iterable
from itertools import permutations

import numpy as np
import numpy.typing as npt

from processor_service.audio.segments import segments
from processor_service.audio.source import Block, Mono

Floats = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

SAMPLE_RATE_HZ = 16_000
HOP = 320  # samples: 20 ms, the length of a frame
FOURIER = 1024
SEGMENT = 1600 * HOP  # samples judged at a time: 32 s; bounds the memory
CONTEXT = 150 * HOP  # samples on both sides that a judgement also reads

MAX_DELAY_S = 0.5  # of an echo in a telephone network
BAND_HZ = (200.0, 3800.0)  # of the correlation
CORRELATED = 12.0  # a peak of the correlation above this multiple of its mean is a delay
ACTIVE_DB = 30.0  # below a channel's loudest frames, it is silent
MARGIN_DB = 6.0  # cross-talk varies this much around its estimate
TIE_DB = 1.0  # of channels whose levels differ less, the first one has the speech
TAIL = np.array(
    [1.0, 0.6, 0.4, 0.25, 0.15, 0.1], np.float32
)  # of the cross-talk in the following frames: reverberation
SMOOTH_FRAMES = 9  # 180 ms
MIN_OWN_FRAMES = 4  # shorter is not a word
HOLD_FRAMES = 5  # kept on both sides of own speech


def own_sound(blocks: Iterable[Block]) -> Floats:
    """Return where each channel of a stream at 16 kHz is kept, 0 to 1, (frames of 20 ms, channels)."""
    kept = []
    for piece, lead, length in segments(blocks, SEGMENT, CONTEXT):
        first = lead // HOP
        kept.append(keep(piece)[first : first + -(-length // HOP)])
    return np.concatenate(kept) if kept else np.zeros((0, 1), np.float32)


def silence(mono: Mono, kept: Floats) -> None:
    """Silence a channel in place where it is not kept, (frames,), with fades of a frame."""
    centres = np.arange(len(kept)) + 0.5
    for start in range(0, len(mono), SEGMENT):
        part = mono[start : start + SEGMENT]
        part *= np.interp(np.arange(start, start + len(part)) / HOP, centres, kept).astype(np.float32)


def keep(piece: Block) -> Floats:
    """Return where each channel has sound of its own, 0 or 1, (frames, channels)."""
    spectra = [_spectra(channel) for channel in piece.T]
    levels = [_energies(spectrum) for spectrum in spectra]
    kept = np.ones((len(levels[0]), len(levels)), np.float32)
    for other, channel in permutations(range(len(levels)), 2):
        used = _is_louder(levels[other], levels[channel])
        delay = find_delay(piece[:, other], piece[:, channel], used) if used.any() else None
        if delay is not None:
            source = _spectra(_delayed(piece[:, other], delay)) if delay else spectra[other]
            limit = _loudest_cross_talk(source, spectra[channel], is_first=other < channel)
            kept[:, channel] *= _held(_smoothed(levels[channel]) > limit)
    return kept


def _is_louder(other: Floats, channel: Floats) -> npt.NDArray[np.bool_]:
    """Whether a channel may be cross-talk of another, by their levels (frames,)."""
    is_active = other > other.max(initial=0.0) * _ratio(-ACTIVE_DB)
    return np.asarray(is_active & (_smoothed(other) >= _smoothed(channel) * _ratio(-TIE_DB)))


def find_delay(other: Mono, channel: Mono, used: npt.NDArray[np.bool_]) -> int | None:
    """Return by how many samples a channel repeats another in the used frames, or None if it does not.

    By the generalized cross-correlation with phase transform (Knapp and Carter, 1976).
    """
    longest = round(MAX_DELAY_S * SAMPLE_RATE_HZ)
    size = _fast_size(len(channel) + longest)
    heard = channel * np.repeat(used, HOP)[: len(channel)]
    cross = np.conj(np.fft.rfft(other, size)) * np.fft.rfft(heard, size)
    low, high = (round(hz * size / SAMPLE_RATE_HZ) for hz in BAND_HZ)
    cross[:low] = cross[high:] = 0
    cross /= np.maximum(np.abs(cross), 1e-12)
    correlation = np.abs(np.fft.irfft(cross, size)[:longest])
    peak = int(correlation.argmax())
    return peak if correlation[peak] > CORRELATED * correlation.mean() else None


def _fast_size(samples: int) -> int:
    """A length of at least that many samples whose Fourier transform is fast."""
    return min(odd << (-(-samples // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15))


def _loudest_cross_talk(source: Spectra, heard: Spectra, *, is_first: bool) -> Floats:
    """Return the level below which a channel's frames are cross-talk of a source: (frames,). Both are in time."""
    level = _energies(source)
    tie = _smoothed(level) * _ratio(TIE_DB if is_first else -TIE_DB)
    explained = _explained(source, heard, _is_louder(level, _energies(heard)))
    return np.asarray(np.minimum(explained * _ratio(MARGIN_DB), tie), np.float32)


def _explained(source: Spectra, heard: Spectra, used: npt.NDArray[np.bool_]) -> Floats:
    """Return the energy of each frame that the source explains, by the transfer function of the used frames."""
    power = np.abs(source) ** 2
    cross = np.abs((np.conj(source[used]) * heard[used]).sum(axis=0))
    transfer = (cross / np.maximum(power[used].sum(axis=0), 1e-9)) ** 2
    energies = np.convolve(power @ transfer, TAIL)[: len(power)]
    return _smoothed(np.asarray(energies, np.float32))


def _energies(spectra: Spectra) -> Floats:
    return np.asarray((np.abs(spectra) ** 2).sum(axis=1))


def _spectra(mono: Mono) -> Spectra:
    """Return the spectra of windows of 64 ms around each frame: (frames, bins). Without the lowest, which hold hum."""
    frames = -(-len(mono) // HOP)
    padded = np.zeros(frames * HOP + FOURIER, np.float32)
    start = (FOURIER - HOP) // 2
    padded[start : start + len(mono)] = mono
    windows = np.lib.stride_tricks.sliding_window_view(padded, FOURIER)[: frames * HOP : HOP]
    spectra = np.fft.rfft(windows * np.hanning(FOURIER).astype(np.float32), axis=1)
    return np.asarray(spectra[:, round(BAND_HZ[0] * FOURIER / SAMPLE_RATE_HZ) :], np.complex64)


def _delayed(mono: Mono, delay: int) -> Mono:
    return np.concatenate([np.zeros(delay, np.float32), mono])[: len(mono)]


def _smoothed(level: Floats) -> Floats:
    padded = np.pad(level, SMOOTH_FRAMES // 2, "edge")
    return np.asarray(np.convolve(padded, np.full(SMOOTH_FRAMES, 1 / SMOOTH_FRAMES), "valid"), np.float32)


def _held(own: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Own speech without spans that are too short for a word, widened on both sides."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], own, [False]]).astype(np.int8)))
    held = np.zeros(len(own), np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= MIN_OWN_FRAMES:
            held[max(0, start - HOLD_FRAMES) : end + HOLD_FRAMES] = True
    return held


def _ratio(db: float) -> float:
    return float(10 ** (db / 10))
