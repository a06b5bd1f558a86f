"""Word times: words from a path through a Whisper model's attention, and their correction at pauses."""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from whisper.timing import WordTiming, merge_punctuations
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import SENTENCE_ENDS, TimedWord
from processor_service.transcribers.whole_words import whole_words

MEDIAN_WIDTH = 7
# A sorting network that leaves the median in the middle (Devillard, "Fast median search", 1998): 19 ms for the
# attention of a window on two cores; sorting takes 67 ms.
EXCHANGES = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))


def median_of_seven(values: torch.Tensor) -> torch.Tensor:
    """The running median over the last dimension, mirrored at its ends; equals `whisper.timing.median_filter`.

    A dimension of at most three values is returned unchanged.
    """
    half, count = MEDIAN_WIDTH // 2, values.shape[-1]
    if count <= half:
        return values
    mirrored = torch.nn.functional.pad(values, (half, half), mode="reflect")
    rank = [mirrored[..., shift : shift + count] for shift in range(MEDIAN_WIDTH)]
    for low, high in EXCHANGES:
        rank[low], rank[high] = torch.minimum(rank[low], rank[high]), torch.maximum(rank[low], rank[high])
    return rank[half]


FRAMES_PER_S = 50  # of the encoder's output
BEFORE_A_WORD = "\"'“¿([{-"
AFTER_A_WORD = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - full-width signs of Chinese and Japanese
MAX_WORD_S = 1.4  # a longer word contains a pause, unless most words are long


class TokenPath(msgspec.Struct, frozen=True):
    """Pairs of token and frame, both in order, from the first text token to the end-of-text token."""

    tokens: npt.NDArray[np.integer]
    frames: npt.NDArray[np.integer]
    probabilities: Sequence[float]  # of each text token


def timed_words(tokenizer: Tokenizer, tokens: Sequence[int], path: TokenPath, duration_s: float) -> list[TimedWord]:
    """The words of a window of `duration_s`, with the punctuation after them and times from its start."""
    words, word_tokens = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    if len(word_tokens) <= 1:
        return []
    starts = np.pad(np.diff(path.tokens), (1, 0), constant_values=1).astype(bool)
    times_s = path.frames[starts] / FRAMES_PER_S
    bounds = [0, *itertools.accumulate(len(one) for one in word_tokens[:-1])]
    timings = [
        WordTiming(text, ids, times_s[first], times_s[last], float(np.mean(path.probabilities[first:last])))
        for text, ids, first, last in zip(words[:-1], word_tokens[:-1], bounds[:-1], bounds[1:], strict=True)
    ]
    merge_punctuations(timings, BEFORE_A_WORD, AFTER_A_WORD)
    return without_pauses(whole_words([_timed(one, duration_s) for one in timings if one.word.strip()]))


def without_pauses(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Shorten words that contain a pause: at their end for the last word of a sentence, else at their start."""
    if not words:
        return []
    median_s = float(np.median([one.end_s - one.start_s for one in words]))
    max_s = max(MAX_WORD_S, 2 * median_s)
    shortened = list(words)
    for number, one in enumerate(words):
        if one.end_s - one.start_s <= max_s:
            continue
        if one.text.endswith(SENTENCE_ENDS) and number:
            shortened[number] = msgspec.structs.replace(one, end_s=one.start_s + max_s)
        else:
            shortened[number] = msgspec.structs.replace(one, start_s=one.end_s - max_s)
    return shortened


def _timed(timing: WordTiming, duration_s: float) -> TimedWord:
    end_s = min(float(timing.end), duration_s)
    return TimedWord(timing.word, min(float(timing.start), end_s), end_s, timing.probability)
