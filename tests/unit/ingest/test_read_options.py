"""Options are typed, given at most once, and refused by name."""

import pytest

from ingest_service.errors import RefusedError
from ingest_service.uploads.parse_options import OptionCollector
from shared.schemas.options import INTERNAL_OPTIONS, SubmitOptions, submission_schema


def options(*fields: tuple[str, str]) -> SubmitOptions:
    texts = OptionCollector()
    for name, text in fields:
        texts.add(name, text)
    return texts.options()


def test_texts_are_converted_to_the_types_of_the_options() -> None:
    got = options(("denoise", "false"), ("track", "2"), ("language", "en"), ("metadata", '{"a": [1, 2.0]}'))
    assert got == SubmitOptions(denoise=False, track=2, language="en", metadata={"a": [1, 2.0]})


def test_an_exact_number_of_speakers_is_an_option() -> None:
    assert options(("diarize", "true"), ("num_speakers", "3")) == SubmitOptions(diarize=True, num_speakers=3)


def test_one_json_field_may_hold_several_options() -> None:
    got = options(("options", '{"denoise": false, "metadata": {"x": 1}}'), ("task", "translate"))
    assert got == SubmitOptions(denoise=False, metadata={"x": 1}, task="translate")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ([("colour", "red")], "colour"),
        ([("denoise", "perhaps")], "denoise"),
        ([("language", "xx")], "language"),
        ([("language", "en"), ("language", "de")], "language"),
        ([("options", '{"language": "en"}'), ("language", "de")], "language"),
        ([("languages", "en,xx")], "languages"),
        ([("languages", "en;fr")], "languages"),
        ([("languages", "en,")], "languages"),
        ([("languages", "en,fr"), ("language", "de")], "languages"),
        ([("prompt", "x" * 10_001)], "prompt"),
        ([("options", '{"colour": 1}')], "colour"),
        ([("options", '{"min_speakers": "2"}')], "min_speakers"),
        ([("options", "[]")], "options"),
        ([("options", "[" * 60000)], "options"),
        ([("track", "-1")], "track"),
        ([("track", "256")], "track"),
        ([("track", "first")], "track"),
        ([("metadata", "{")], "metadata"),
        ([("metadata", "[" * 60000)], "metadata"),
        ([("metadata", '"\\ud800"')], "metadata"),
        ([("min_speakers", "3"), ("max_speakers", "2")], "min_speakers"),
        ([("num_speakers", "0")], "num_speakers"),
        ([("num_speakers", "65")], "num_speakers"),
        ([("num_speakers", "2.5")], "num_speakers"),
        ([("num_speakers", "2"), ("min_speakers", "2")], "num_speakers"),
        ([("max_speakers", "2"), ("num_speakers", "2")], "num_speakers"),
        ([("transcribe_from", "denoised"), ("denoise", "false")], "transcribe_from"),
        ([("webhook_url", "file:///etc/passwd")], "webhook_url"),
        ([("webhook_url", "http://a/\x00")], "webhook_url"),
        ([("webhook_url", "")], "webhook_url"),
        ([("webhook_secret", "short")], "webhook_secret"),
        ([("", "x")], "is not an option"),
    ],
)
def test_refused_by_name(fields: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(RefusedError, match=named) as refusal:
        options(*fields)
    assert refusal.value.code == "invalid_option"


def test_languages_bound_the_choice_and_none_means_all() -> None:
    assert options(("languages", "en,fr,en")).allowed_languages == ("en", "fr")
    assert options().allowed_languages == ()


def test_a_prompt_may_be_long_and_look_like_special_tokens() -> None:
    prompt = "<|endoftext|>" * 700
    assert options(("prompt", prompt)).prompt == prompt


@pytest.mark.parametrize("name", sorted(INTERNAL_OPTIONS))
def test_internal_options_are_unknown_to_clients(name: str) -> None:
    for field in ((name, "true"), ("options", f'{{"{name}": true}}')):
        with pytest.raises(RefusedError, match=name):
            options(field)
    assert name not in submission_schema()
