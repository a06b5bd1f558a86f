"""Invalid and inexact answers of a provider."""

import itertools
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.providers.read_answer import (
    STRAY_S,
    InvalidAnswerError,
    ProviderTranscript,
    in_order,
    read_answer,
)
from tests.support.providers.provider import verbose_answer

DURATION_S = 10.0


def _read(answer: Any) -> ProviderTranscript:
    return read_answer(msgspec.json.encode(answer), duration_s=DURATION_S)


def _segment(**fields: Any) -> dict[str, Any]:
    return {"text": "hi", "start": 0.0, "end": 1.0, **fields}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"text": null}',
        b'{"text": 5}',
        b'{"text": "a", "segments": {}}',
        b'{"text": "a", "segments": [{"text": "a"}]}',
        b'{"text": "a", "words": ["a"]}',
        b'{"text": "a", "words": [{"word": "a", "start": NaN, "end": 1}]}',
        b'{"text": "a", "words": [{"word": "a", "start": "0.5", "end": 1}]}',
        b'{"text": "a", "words": [{"word": "a", "start": 1e999, "end": 1}]}',
        b'{"text": "a", "words": [{"word": "a", "start": true, "end": 1}]}',
        b'{"text": "a", "language": ["en"]}',
        b'{"text": "a", "segments": ' + b"[" * 100_000,
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
        b'{"text": "cut of',
    ],
)
def test_an_answer_of_the_wrong_form_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        read_answer(body, duration_s=DURATION_S)


@pytest.mark.parametrize("time_s", [-STRAY_S - 1, DURATION_S + STRAY_S + 1, 9500.0, 1e300])
def test_times_in_another_unit_are_invalid(time_s: float) -> None:
    with pytest.raises(InvalidAnswerError, match="times"):
        _read(verbose_answer(["one"], words=[{"word": "one", "start": 0.0, "end": time_s}]))


@given(st.lists(st.tuples(st.floats(-STRAY_S, DURATION_S + STRAY_S), st.floats(-STRAY_S, DURATION_S + STRAY_S))))
def test_times_are_put_in_order_within_the_audio(spans: list[tuple[float, float]]) -> None:
    fitted = in_order(spans, DURATION_S)

    assert len(fitted) == len(spans)
    assert all(0 <= start_s <= end_s <= DURATION_S for start_s, end_s in fitted)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(fitted))


def test_valid_times_are_unchanged() -> None:
    spans = [(0.0, 0.5), (0.5, 1.0), (3.0, 10.0)]

    assert in_order(spans, DURATION_S) == spans


def test_text_is_one_line_of_printable_characters() -> None:
    assert _read({"text": " a\x00b\n c\u202e\x1b[31m \ufffd\ufffd"}).text == "a b c [31m"


def test_words_inside_segments_are_read() -> None:
    word = {"word": " hi", "start": 0.1, "end": 0.4, "probability": 0.5}

    (word_read,) = _read({"text": "hi", "segments": [_segment(words=[word])]}).words

    assert (word_read.text, word_read.start_s, word_read.end_s, word_read.probability) == ("hi", 0.1, 0.4, 0.5)


@pytest.mark.parametrize(
    ("logprob", "probability"), [(None, None), (0.0, 1.0), (-1.0, math.exp(-1)), (3.0, 1.0), (-1e300, 0.0)]
)
def test_probabilities_are_clamped(logprob: float | None, probability: float | None) -> None:
    (segment,) = _read({"text": "hi", "segments": [_segment(avg_logprob=logprob, no_speech_prob=-4)]}).segments

    assert segment.probability == probability
    assert segment.no_speech_probability == 0


def test_empty_segments_and_words_are_left_out() -> None:
    transcript = _read({"text": "", "segments": [_segment(text=" ")], "words": [{"word": "", "start": 0, "end": 0}]})

    assert (transcript.text, transcript.segments, transcript.words) == ("", (), ())
