"""A transcript as the JSON of whisper's command, for `/asr`."""

from math import exp
from typing import Any

import msgspec

from ingest_service.openai_api.answers import whisper_answer
from shared.schemas.transcript import Transcript
from tests.support.ingest.spoken import said, transcript

FIELDS = {
    "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
}  # fmt: skip


def rendered(found: Transcript, *, has_words: bool = False) -> Any:
    return msgspec.json.decode(msgspec.json.encode(whisper_answer(found, has_words=has_words)))


def test_segments_have_the_fields_of_whisper() -> None:
    found = rendered(transcript(msgspec.structs.replace(said("Grüße an alle."), confidence=exp(-0.5))))
    assert set(found) == {"text", "segments", "language"}
    (segment,) = found["segments"]
    assert set(segment) == FIELDS
    assert (segment["text"], segment["avg_logprob"], segment["tokens"]) == ("Grüße an alle.", -0.5, [])


def test_words_and_speakers_are_there_when_they_are_wanted_and_known() -> None:
    found = rendered(transcript(said("Hello there.", speaker="SPEAKER_01")), has_words=True)
    (segment,) = found["segments"]
    assert set(segment) == FIELDS | {"words", "speaker"}
    assert segment["words"][1] == {"word": "there.", "start": 0.3, "end": 0.6, "probability": 1.0}


def test_nothing_said_is_an_empty_list() -> None:
    assert rendered(transcript()) == {"text": "", "segments": [], "language": "en"}
