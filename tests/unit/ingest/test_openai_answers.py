"""The answers of OpenAI's audio API, made of a transcript."""

import math
from typing import Any

import msgspec
import pytest

from ingest_service.openai_api.answers import Answer, compression_ratio, letter_of, render_answer
from ingest_service.openai_api.errors import converted, error_of
from ingest_service.problem_types import PROBLEM_TYPES
from shared.schemas.api import Problem
from shared.schemas.transcript import Segment, Transcript, Word


def segment(number: int, text: str, speaker: str | None = None, confidence: float = 0.9) -> Segment:
    said = (Word(word=f" {text}", start=float(number), end=number + 0.5, confidence=confidence),)
    return Segment(
        id=number,
        start=float(number),
        end=number + 0.5,
        text=text,
        speaker=speaker,
        confidence=confidence,
        no_speech_prob=0.125,
        language="en" if number % 2 == 0 else "de",
        words=said,
    )


SEGMENTS = (
    segment(0, "One.", "SPEAKER_02"),
    segment(1, "Zwei.", None),
    segment(2, "Three.", "SPEAKER_00"),
    segment(3, "Vier.", "SPEAKER_02", confidence=0.0),
)
TRANSCRIPT = Transcript(text=" One. Zwei. Three. Vier.", language="en", duration=4.12345, segments=SEGMENTS)
SILENCE = Transcript(text="", language=None, duration=3.0, segments=())


def rendered(transcript: Transcript = TRANSCRIPT, **wanted: Any) -> Any:
    return msgspec.json.decode(render_answer(msgspec.json.encode(transcript), Answer(**wanted)))


def test_json_has_text_and_usage() -> None:
    assert rendered(response_format="json") == {
        "text": "One. Zwei. Three. Vier.",
        "usage": {"type": "duration", "seconds": 4.123},
    }
    assert rendered(response_format="json", languages=True)["languages"] == [{"code": "en"}, {"code": "de"}]
    assert rendered(SILENCE, response_format="json", languages=True)["languages"] == []


def test_text_is_one_line() -> None:
    encoded = msgspec.json.encode(TRANSCRIPT)
    assert render_answer(encoded, Answer(response_format="text")) == b"One. Zwei. Three. Vier.\n"


def test_verbose_json_has_whispers_fields() -> None:
    answer = rendered(response_format="verbose_json", words=True)

    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "english", 4.123)
    assert answer["segments"][0] == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 0.5,
        "text": "One.",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(0.9), 6),
        "compression_ratio": compression_ratio("One."),
        "no_speech_prob": 0.125,
    }
    assert answer["segments"][3]["avg_logprob"] == pytest.approx(-23.02585)
    assert answer["words"][1] == {"word": "Zwei.", "start": 1.0, "end": 1.5}


def test_a_translation_is_english() -> None:
    german = msgspec.structs.replace(TRANSCRIPT, language="de")
    assert rendered(german, response_format="verbose_json")["language"] == "german"
    assert rendered(german, response_format="verbose_json", task="translate")["language"] == "english"
    assert rendered(SILENCE, response_format="verbose_json")["language"] == ""


def test_silence_has_empty_lists() -> None:
    answer = rendered(SILENCE, response_format="verbose_json", words=True)
    assert (answer["text"], answer["segments"], answer["words"]) == ("", [], [])


def test_speakers_are_letters_in_the_order_of_their_beginning() -> None:
    segments = rendered(response_format="diarized_json")["segments"]

    assert [one["speaker"] for one in segments] == ["A", "A", "B", "A"]
    assert segments[2] == {
        "type": "transcript.text.segment",
        "id": "seg_002",
        "start": 2.0,
        "end": 2.5,
        "speaker": "B",
        "text": "Three.",
    }


def test_letters_go_on_after_z() -> None:
    assert [letter_of(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip


def test_repeated_text_compresses_well() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("so " * 200) > 2.4 > compression_ratio("Ask not what your country can do for you.")


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_every_problem_has_an_error(code: str) -> None:
    kind = PROBLEM_TYPES[code]
    problem = Problem(title=kind.title, status=kind.status, code=code, detail=kind.detail)
    error = msgspec.json.decode(converted(msgspec.json.encode(problem)))["error"]

    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["message"], error["code"]) == (kind.detail, code)
    assert error["type"].endswith("_error")


@pytest.mark.parametrize(
    ("code", "message", "param"),
    [
        ("invalid_option", "`response_format` must be one of json.", "response_format"),
        ("invalid_option", "`timestamp_granularities[]` is wrong.", "timestamp_granularities[]"),
        ("missing_audio_file", "The audio goes into `file`, as a file.", "file"),
        ("rate_limited", "At most 3 requests.", None),
    ],
)
def test_an_error_names_the_field(code: str, message: str, param: str | None) -> None:
    assert error_of(400, code, message).error.param == param
