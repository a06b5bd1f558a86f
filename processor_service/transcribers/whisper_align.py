"""Word times by the attention of a Whisper model's alignment heads (as `whisper.timing`, on features already encoded).

The method is dynamic time warping over the cross-attention of heads that follow the sound (Radford et al., 2022).
"""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from whisper.model import Whisper, disable_sdpa
from whisper.timing import WordTiming, dtw, median_filter, merge_punctuations
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import SENTENCE_ENDS, TimedWord

FRAMES_PER_S = 50  # of the encoder's output
MEDIAN_WIDTH = 7  # frames; Whisper's own choice
BEFORE_A_WORD = "\"'“¿([{-"
AFTER_A_WORD = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - full-width signs of Chinese and Japanese
LONGEST_WORD_S = 1.4  # unless most words are long: what is longer holds a pause


@torch.inference_mode()
def align(
    model: Whisper, tokenizer: Tokenizer, tokens: Sequence[int], features: torch.Tensor, duration_s: float
) -> list[TimedWord]:
    """When each word of a decoded window was said; `features` has shape (frames, state), times are of the window."""
    words, word_tokens = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    if len(word_tokens) <= 1:
        return []
    attention, probabilities = _attend(model, tokenizer, tokens, features, max(1, int(duration_s * FRAMES_PER_S)))
    token_at, frame_at = dtw(-attention)
    starts = np.pad(np.diff(token_at), (1, 0), constant_values=1).astype(bool)
    times_s = frame_at[starts] / FRAMES_PER_S
    bounds = [0, *itertools.accumulate(len(one) for one in word_tokens[:-1])]
    timings = [
        WordTiming(text, ids, times_s[first], times_s[last], float(np.mean(probabilities[first:last])))
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


def _attend(
    model: Whisper, tokenizer: Tokenizer, tokens: Sequence[int], features: torch.Tensor, frames: int
) -> tuple[torch.Tensor, list[float]]:
    """The mean attention of the alignment heads, (tokens + 1, frames), and the probability of each token."""
    prefix = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    forced = torch.tensor([[*prefix, *tokens, tokenizer.eot]], device=features.device)
    scores: dict[int, torch.Tensor] = {}
    hooks = [
        block.cross_attn.register_forward_hook(lambda _module, _input, output, n=n: scores.update({n: output[1][0]}))
        for n, block in enumerate(model.decoder.blocks)
    ]
    try:
        with disable_sdpa():
            logits = model.decoder(forced, features[None])[0]
    finally:
        for hook in hooks:
            hook.remove()
    said = torch.tensor(tokens, device=logits.device)[:, None]
    probabilities = logits[len(prefix) - 1 : -2, : tokenizer.eot].softmax(-1).gather(1, said)[:, 0].tolist()
    weights = torch.stack([scores[int(layer)][int(head)] for layer, head in model.alignment_heads.indices().T])
    weights = weights[:, :, :frames].softmax(-1)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    smooth = median_filter((weights - mean) / deviation, MEDIAN_WIDTH).mean(0)
    return smooth[len(prefix) - 1 : -1], probabilities
