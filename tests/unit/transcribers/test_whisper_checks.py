"""Which windows are decoded again, and which text is kept."""

import msgspec
import torch

from processor_service.transcribers.whisper_checks import (
    FALL_BACK_TEMPERATURES,
    SILENCE,
    Decoded,
    decode_reliably,
    decode_with_prompt,
)


class _ScriptedDecoder:
    """A decoder that returns scripted texts."""

    def __init__(self, *texts: Decoded) -> None:
        self.texts = list(texts)
        self.calls: list[tuple[int, float]] = []

    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        self.calls.append((len(features), temperature))
        return [self.texts.pop(0) for _ in features]


def _decoded(text: str, log_probability: float, no_speech: float = 0.0) -> Decoded:
    return Decoded(tokens=(), text=text, mean_log_probability=log_probability, no_speech_probability=no_speech)


FINE_TEXT = _decoded("ask not what your country", -0.2)
LOOP = _decoded("no no " * 50, -0.1)
GUESS = _decoded("hm", -2.0)


def test_only_texts_that_fail_the_checks_are_decoded_again() -> None:
    better = _decoded("what you can do", -0.5)
    decoder = _ScriptedDecoder(FINE_TEXT, LOOP, GUESS, GUESS, better, better)

    decoded = decode_reliably(decoder, torch.zeros(3, 1, 1))

    assert decoded == [FINE_TEXT, better, better]
    assert decoder.calls == [(3, 0.0), (2, 0.2), (1, 0.4)]


def test_a_guess_is_preferred_to_a_loop_if_all_attempts_are_doubtful() -> None:
    attempts = [LOOP, GUESS, *[LOOP] * (len(FALL_BACK_TEMPERATURES) - 1)]

    assert decode_reliably(_ScriptedDecoder(*attempts), torch.zeros(1, 1, 1)) == [GUESS]


def test_a_guess_in_silence_is_dropped() -> None:
    silence = _decoded("Thank you.", -1.5, no_speech=0.9)

    assert decode_reliably(_ScriptedDecoder(silence), torch.zeros(1, 1, 1)) == [SILENCE]


def test_a_prompt_that_spoils_the_text_is_left_out() -> None:
    prompted = _ScriptedDecoder(FINE_TEXT, *[LOOP] * (1 + len(FALL_BACK_TEMPERATURES)))
    better = _decoded("what you can do", -0.5)
    plain = _ScriptedDecoder(better)

    assert decode_with_prompt(prompted, plain, torch.zeros(2, 1, 1)) == [FINE_TEXT, better]
    assert plain.calls == [(1, 0.0)]


def test_a_text_that_was_stopped_in_a_loop_is_decoded_again() -> None:
    stopped = msgspec.structs.replace(FINE_TEXT, is_loop=True)
    better = _decoded("what you can do", -0.5)

    assert decode_reliably(_ScriptedDecoder(stopped, better), torch.zeros(1, 1, 1)) == [better]
