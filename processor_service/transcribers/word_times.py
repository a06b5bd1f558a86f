"""Makes timed words of a path through a Whisper model's attention: which of its tokens was heard at which frame."""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from whisper.timing import WordTiming, merge_punctuations
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import SENTENCE_ENDS, TimedWord

# The running median over seven frames, by a network of comparisons of whole arrays.
#
# Thirteen exchanges leave the median in the middle (Devillard, "Fast median search", 1998): on two cores 19 ms for
# the attention of a window of Whisper, where sorting each seven takes 67.

MEDIAN_WIDTH = 7
EXCHANGES = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))


def median_of_seven(values: torch.Tensor) -> torch.Tensor:
    """The median around each value of the last dimension, mirrored at its ends; shorter ones are returned as they are.

    The same as `whisper.timing.median_filter`.
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
LONGEST_WORD_S = 1.4  # unless most words are long: what is longer holds a pause


class TokenPath(msgspec.Struct, frozen=True):
    """Pairs of a token and a frame, both rising, from the first text token to the end-of-text token."""

    tokens: npt.NDArray[np.integer]
    frames: npt.NDArray[np.integer]
    probabilities: Sequence[float]  # of each text token


def timed_words(tokenizer: Tokenizer, tokens: Sequence[int], path: TokenPath, duration_s: float) -> list[TimedWord]:
    """The words of a window of so many seconds, with the signs that follow them, in its time."""
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
    return without_pauses([_timed(one, duration_s) for one in timings if one.word.strip()])


def without_pauses(words: Sequence[TimedWord]) -> list[TimedWord]:
    """The words, those shortened that hold a pause: before them at the start of a sentence, after them at its end."""
    if not words:
        return []
    usual_s = float(np.median([one.end_s - one.start_s for one in words]))
    longest_s = max(LONGEST_WORD_S, 2 * usual_s)
    shortened = list(words)
    for number, one in enumerate(words):
        if one.end_s - one.start_s <= longest_s:
            continue
        if one.text.endswith(SENTENCE_ENDS) and number:
            shortened[number] = msgspec.structs.replace(one, end_s=one.start_s + longest_s)
        else:
            shortened[number] = msgspec.structs.replace(one, start_s=one.end_s - longest_s)
    return shortened


def _timed(timing: WordTiming, duration_s: float) -> TimedWord:
    end_s = min(float(timing.end), duration_s)
    return TimedWord(timing.word, min(float(timing.start), end_s), end_s, timing.probability)
