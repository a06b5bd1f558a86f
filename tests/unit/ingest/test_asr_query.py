"""The query of `/asr`, as the clients of whisper-asr-webservice send it."""

from typing import Any

import pytest

from ingest_service.asr_api.query import MAX_PROMPT_CHARS, AsrQuery, parse_detection_query, parse_query
from ingest_service.errors import RefusedError
from shared.schemas.options import SubmitOptions

BAZARR = "task=transcribe&language=fr&output=srt&encode=false"
SPEAKR = (
    "encode=true&task=transcribe&output=json&language=de&diarize=true&enable_diarization=true"
    "&return_speaker_embeddings=true&min_speakers=2&max_speakers=4&initial_prompt=Gr%C3%BC%C3%9Fe&hotwords=Zo%C3%AB"
    "&model=large-v3"
)


def options(**wanted: Any) -> SubmitOptions:
    return SubmitOptions(denoise=False, **wanted)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", AsrQuery(options=options(), output="txt", has_words=False, is_raw=False)),
        (BAZARR, AsrQuery(options=options(language="fr"), output="srt", has_words=False, is_raw=True)),
        (
            SPEAKR,
            AsrQuery(
                options=options(language="de", diarize=True, min_speakers=2, max_speakers=4, prompt="Grüße"),
                output="json",
                has_words=False,
                is_raw=False,
            ),
        ),
        (
            "output=json&word_timestamps=True&vad_filter=maybe&video_file=a",
            AsrQuery(options=options(), output="json", has_words=True, is_raw=False),
        ),
        (
            "task=translate&language=&output=tsv&encode=0&encode=1",
            AsrQuery(options=options(task="translate"), output="tsv", has_words=False, is_raw=False),
        ),
    ],
)
def test_a_query_is_read(query: str, wanted: AsrQuery) -> None:
    assert parse_query(query) == wanted


@pytest.mark.parametrize(
    ("query", "language"),
    [("language=en-US", "en"), ("language=English", "en"), ("language=auto", None), ("language=+", None)],
)
def test_languages_are_read_leniently(query: str, language: str | None) -> None:
    assert parse_query(query).options.language == language


@pytest.mark.parametrize(
    "query", ["diarize=false&min_speakers=2", "min_speakers=2", "diarize=true&min_speakers=0&max_speakers="]
)
def test_numbers_of_speakers_count_with_diarize_only(query: str) -> None:
    assert parse_query(query).options.min_speakers is None


def test_the_end_of_a_long_prompt_is_used() -> None:
    prompt = parse_query(f"initial_prompt={'a' * MAX_PROMPT_CHARS}end%00").options.prompt
    assert prompt is not None
    assert (len(prompt), prompt[-4:]) == (MAX_PROMPT_CHARS, "aend")


@pytest.mark.parametrize(
    ("query", "parameter", "allowed"),
    [
        ("task=sing", "task", ""),
        ("language=klingon", "language", "such as `en`"),
        ("output=docx", "output", "txt, vtt, srt, tsv, json"),
        ("encode=maybe", "encode", "`true` or `false`"),
        ("word_timestamps=2", "word_timestamps", "`true` or `false`"),
        ("diarize=true&max_speakers=many", "max_speakers", ""),
        ("diarize=true&min_speakers=3&max_speakers=2", "min_speakers", "larger than `max_speakers`"),
    ],
)
def test_a_wrong_value_is_named(query: str, parameter: str, allowed: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_query(query)
    assert refused.value.code == "invalid_option"
    assert f"`{parameter}`" in refused.value.detail
    assert allowed in refused.value.detail


def test_a_detection_reads_encode_only() -> None:
    found = parse_detection_query("encode=false&task=sing")
    assert found.is_raw
    assert found.options == options(detect_language_only=True)
    assert not parse_detection_query("").is_raw
