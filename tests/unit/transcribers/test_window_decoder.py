from collections.abc import Sequence

import pytest
import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from processor_service.transcribers.whisper_checks import suppressed_tokens
from processor_service.transcribers.whole_characters import whole_characters
from processor_service.transcribers.window_decoder import AttendedText, Vocabulary, WindowDecoder, is_loop

TOKENIZER = whisper.tokenizer.get_tokenizer(multilingual=False)
FRAMES, STATE, CONTEXT = 20, 32, 24


@pytest.fixture(scope="module")
def model() -> Whisper:
    """A small model with random weights and an end token that is likely, so that texts have different lengths."""
    torch.manual_seed(3)
    dims = ModelDimensions(80, FRAMES, STATE, 4, 1, TOKENIZER.encoding.n_vocab, CONTEXT, STATE, 4, 2)
    built = Whisper(dims).eval()
    torch.nn.init.normal_(built.decoder.positional_embedding)
    torch.nn.init.normal_(built.decoder.token_embedding.weight, std=0.3)
    return built


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    return 3 * torch.randn(5, FRAMES, STATE, generator=torch.Generator().manual_seed(1))


def _decode(model: Whisper, features: torch.Tensor, *, is_rounded: bool = False) -> list[AttendedText]:
    vocabulary = Vocabulary(model.decoder.token_embedding.weight.detach(), is_rounded=is_rounded)
    decoded = WindowDecoder(model, vocabulary, TOKENIZER, None).decode(features)
    assert all(isinstance(one, AttendedText) for one in decoded)
    return [one for one in decoded if isinstance(one, AttendedText)]


@torch.inference_mode()
def _likeliest(model: Whisper, features: torch.Tensor, tokens: Sequence[int]) -> tuple[int, float]:
    """The next token of one window and its probability, by Whisper's own decoder without a cache."""
    start = [*TOKENIZER.sot_sequence, TOKENIZER.no_timestamps]
    logits = model.logits(torch.tensor([[*start, *tokens]]), features[None])[0, -1]
    logits[suppressed_tokens(TOKENIZER)] = -torch.inf
    if not tokens:
        logits[[*TOKENIZER.encode(" "), TOKENIZER.eot]] = -torch.inf
    probabilities = logits.softmax(-1)
    return int(probabilities.argmax()), float(probabilities.max())


def _greedy(model: Whisper, features: torch.Tensor) -> tuple[list[int], list[float]]:
    """The text of one window with the probability of each token."""
    tokens: list[int] = []
    probabilities: list[float] = []
    while len(tokens) < CONTEXT // 2:
        token, probability = _likeliest(model, features, tokens)
        if token == TOKENIZER.eot:
            break
        tokens.append(token)
        probabilities.append(probability)
    return tokens, probabilities


def test_each_token_is_the_likeliest_of_the_model_of_whisper(model: Whisper, features: torch.Tensor) -> None:
    for window, text in zip(features, _decode(model, features), strict=True):
        tokens, probabilities = _greedy(model, window)
        assert list(text.tokens) == whole_characters(tokens, TOKENIZER.encoding.decode_single_token_bytes)
        rest = iter(probabilities)  # of the tokens that were left out, too
        assert all(any(one == pytest.approx(other, rel=1e-3) for other in rest) for one in text.probabilities)


def test_a_window_gets_the_same_text_alone_as_in_a_batch(model: Whisper, features: torch.Tensor) -> None:
    together = _decode(model, features)
    alone = [_decode(model, window[None])[0] for window in features]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    for batched, single in zip(together, alone, strict=True):
        torch.testing.assert_close(batched.queries, single.queries, rtol=1e-3, atol=1e-4)


def test_the_queries_are_those_of_a_pass_over_the_whole_text(model: Whisper, features: torch.Tensor) -> None:
    whole = [_greedy(model, one)[0] for one in features]
    number, text = next(
        (number, text) for number, text in enumerate(_decode(model, features)) if list(text.tokens) == whole[number]
    )
    asked: list[torch.Tensor] = []
    hooks = [
        block.cross_attn.query.register_forward_hook(lambda _module, _input, output: asked.append(output[0]))
        for block in model.decoder.blocks
    ]
    tokens = [*TOKENIZER.sot_sequence, TOKENIZER.no_timestamps, *text.tokens]
    with torch.inference_mode():
        model.logits(torch.tensor([tokens]), features[[number]])
    for hook in hooks:
        hook.remove()
    heads = [asked[layer].view(-1, 4, STATE // 4)[:, head] for layer, head in model.alignment_heads.indices().T]
    steps = len(tokens) - 1  # the last token of a text that was cut off has no step
    assert text.queries.shape[1] == len(tokens)
    torch.testing.assert_close(text.queries[:, :steps], torch.stack(heads)[:, :steps], rtol=1e-3, atol=1e-4)


def test_rounded_weights_keep_the_likeliest_token_and_its_logit() -> None:
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(5000, 64, generator=random)
    states = torch.randn(6, 64, generator=random)
    excluded = torch.arange(100)
    exact = Vocabulary(weight, is_rounded=False).fast_logits(states, excluded)
    rounded = Vocabulary(weight, is_rounded=True).fast_logits(states, excluded)
    assert rounded.argmax(-1).tolist() == exact.argmax(-1).tolist()
    torch.testing.assert_close(rounded.max(-1).values, exact.max(-1).values)
    assert rounded[:, excluded].isneginf().all()


@pytest.mark.parametrize(
    ("tokens", "loops"),
    [
        ([7] * 64, True),
        ([7] * 63, False),
        ([1, 2, 3, *[7, 8, 9] * 22], True),
        ([*[7, 8, 9] * 22, 1], False),  # it has left the loop
        ([*range(16)] * 4, True),
        ([*range(17)] * 4, False),
        ([*range(64)], False),
        ([], False),
    ],
)
def test_a_text_whose_last_tokens_repeat_is_a_loop(tokens: list[int], loops: bool) -> None:  # noqa: FBT001 - a case
    assert is_loop(tokens) is loops


def test_a_loop_ends_before_the_context_is_full(features: torch.Tensor) -> None:
    torch.manual_seed(3)
    built = Whisper(ModelDimensions(80, FRAMES, STATE, 4, 1, TOKENIZER.encoding.n_vocab, 448, STATE, 4, 2)).eval()
    torch.nn.init.zeros_(built.decoder.positional_embedding)  # the same token for ever
    torch.nn.init.normal_(built.decoder.token_embedding.weight, std=0.3)

    decoded = _decode(built, features)

    assert any(one.is_loop for one in decoded)
    assert all(len(one.tokens) < 100 and one.is_doubtful for one in decoded if one.is_loop)
