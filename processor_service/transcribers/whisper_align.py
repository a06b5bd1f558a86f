"""Finds when words were said by the attention of a Whisper model's alignment heads (as `whisper.timing`).

The method is dynamic time warping over the cross-attention of heads that follow the sound (Radford et al., 2022), here
on windows that are encoded already.
"""

from collections.abc import Sequence

import torch
from whisper.model import Whisper, disable_sdpa
from whisper.timing import dtw
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.median_of_seven import median_of_seven
from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.word_times import FRAMES_PER_S, TokenPath, timed_words


@torch.inference_mode()
def align(
    model: Whisper, tokenizer: Tokenizer, tokens: Sequence[int], features: torch.Tensor, duration_s: float
) -> list[TimedWord]:
    """When each word of a decoded window was said; `features` has shape (frames, state), times are of the window."""
    if not tokens:
        return []
    attention, probabilities = _attend(model, tokenizer, tokens, features, max(1, int(duration_s * FRAMES_PER_S)))
    token_at, frame_at = dtw(-attention)
    return timed_words(tokenizer, tokens, TokenPath(token_at, frame_at, probabilities), duration_s)


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
    weights = weights[:, :, :frames].float().cpu().softmax(-1)  # on a GPU the rest would need triton
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    smooth = median_of_seven((weights - mean) / deviation).mean(0)
    return smooth[len(prefix) - 1 : -1], probabilities
