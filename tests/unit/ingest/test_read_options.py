"""Options are typed, given at most once, and refused by name."""

from uuid import UUID

import msgspec
import pytest

from ingest_service.errors import RefusedError
from ingest_service.uploads.parse_options import OptionCollector
from shared.schemas.job_parts import Part
from shared.schemas.known_speakers import KnownSpeaker
from shared.schemas.options import INTERNAL_OPTIONS, JobOptions, SubmitOptions, submission_schema, without_prompt

JOB = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"
KNOWN = f'{{"name": "Ann", "job_id": "{JOB}", "times": [[1, 4.5]]}}'
DIARIZE = ("diarize", "true")


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


def test_speakers_have_names_as_json_in_a_field_and_in_json() -> None:
    names = {"SPEAKER_00": "Ann"}
    known = (KnownSpeaker(name="Ann", job_id=UUID(JOB), times=((1.0, 4.5),)),)
    got = options(DIARIZE, ("speaker_names", '{"SPEAKER_00": "Ann"}'), ("known_speakers", f"[{KNOWN}]"))
    assert got == SubmitOptions(diarize=True, speaker_names=names, known_speakers=known)
    text = f'{{"diarize": true, "speaker_names": {{"SPEAKER_00": "Ann"}}, "known_speakers": [{KNOWN}]}}'
    assert options(("options", text)) == got
    separate = options(("channels", "separate"), ("speaker_names", '{"SPEAKER_00": "Ann"}'))
    assert separate.speaker_names == names
    assert not got.uses_voices


def test_erased_options_keep_no_names() -> None:
    named = options(DIARIZE, ("speaker_names", '{"SPEAKER_00": "Ann"}'), ("known_speakers", f"[{KNOWN}]"))
    assert without_prompt(named.job_options_json()) == '{"diarize":true}'


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
        ([DIARIZE, ("speaker_names", "{")], "speaker_names"),
        ([DIARIZE, ("speaker_names", '["Ann"]')], "speaker_names"),
        ([DIARIZE, ("speaker_names", '{"Ben": "Ann"}')], "speaker_names"),
        ([DIARIZE, ("speaker_names", '{"SPEAKER_00": "\\u202eAnn"}')], "speaker_names"),
        ([DIARIZE, ("speaker_names", f'{{"SPEAKER_00": "{"x" * 101}"}}')], "speaker_names"),
        ([("speaker_names", '{"SPEAKER_00": "Ann"}')], "speaker_names"),
        ([("known_speakers", f'[{{"name": "Ann", "job_id": "{JOB}"}}]')], "`known_speakers` needs"),
        ([("voices", "true")], "`voices` needs"),
        ([DIARIZE, ("known_speakers", "[" * 60_000)], "known_speakers"),
        ([DIARIZE, ("known_speakers", '[{"name": "Ann"}]')], "known_speakers"),
        ([DIARIZE, ("known_speakers", f'[{{"name": "Ann", "job_id": "{JOB}", "colour": 1}}]')], "colour"),
        ([DIARIZE, ("known_speakers", f'[{{"name": "Ann", "job_id": "{JOB}", "voice": "{JOB}"}}]')], "voice"),
        ([DIARIZE, ("known_speakers", f'[{{"name": "Ann", "voice": "{JOB}", "times": [[0, 1]]}}]')], "times"),
        ([DIARIZE, ("known_speakers", f'[{{"name": "Ann", "job_id": "{JOB}", "times": [[0, 1e9]]}}]')], "times"),
        ([DIARIZE, ("known_speakers", f"[{', '.join(33 * [KNOWN])}]")], "at most 32"),
        ([("keyterms", "x" * 101)], "keyterms"),
        ([("keyterms", "[1]")], "keyterms"),
        ([("keyterms", '["a\\nb"]')], "keyterms"),
        ([("keyterms", "[" * 60000)], "keyterms"),
        ([("keyterms", "\n".join(map(str, range(1001))))], "keyterms"),
        ([("keyterms", "\n".join(map(str, range(1000)))), ("keyterms", "one more")], "keyterms"),
        ([("options", '{"keyterms": "one"}')], "keyterms"),
        ([("replacements", "[]")], "replacements"),
        ([("replacements", '{"a": ""}')], "replacements"),
        ([("replacements", '{"a": 1}')], "replacements"),
        ([("vocabulary", "maybe")], "vocabulary"),
        ([("transcribe_from", "denoised"), ("denoise", "false")], "transcribe_from"),
        ([("start", "-1")], "a number from 0 to 3600000 or text such as `90`, `1:30` or `00:01:30.250`"),
        ([("start", "nan")], "start"),
        ([("start", "1:60")], "`start` must be a number of seconds"),
        ([("start", "1:60:00")], "`start` must be a number of seconds"),
        ([("start", "9" * 4000)], "start"),
        ([("start", "1:00\n")], "start"),
        ([("end", "0")], "`end` must be above 0"),
        ([("end", "3600001")], "end"),
        ([("start", "1:00"), ("end", "60")], "`end` must be after `start`"),
        ([("options", '{"start": -0.1}')], "start"),
        ([("options", '{"end": true}')], "end"),
        ([("text", "")], "the text that is spoken"),
        ([("text", "x" * 50_001)], "at most 50000 characters"),
        ([("options", '{"text": "a\\u0000"}')], "text"),
        ([("text", "a"), ("task", "translate")], "`text` excludes `task`"),
        ([("text", "a"), ("diarize_only", "true")], "`text` excludes `diarize_only`"),
        ([("text", "a"), ("channels", "separate")], "`text` excludes `channels`"),
        ([("text", "a"), ("word_timestamps", "false")], "`text` excludes `word_timestamps`"),
        ([("language_confidence", "0")], "language_confidence"),
        ([("language_confidence", "1.1")], "language_confidence"),
        ([("language_confidence", "0.5"), ("language", "en")], "`language_confidence` excludes `language`"),
        ([("detect_language_only", "true"), ("language", "en")], "`detect_language_only` excludes `language`"),
        ([("detect_language_only", "true"), ("diarize", "true")], "`detect_language_only` excludes `diarize`"),
        ([("detect_language_only", "true"), ("diarize_only", "true")], "`detect_language_only` excludes `diarize`"),
        ([("diarize_only", "true"), ("channels", "separate")], "`diarize_only` excludes `channels`"),
        ([("diarize_only", "true"), ("transcribe_from", "denoised")], "transcribe_from"),
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


@pytest.mark.parametrize(
    ("text", "start_s"),
    [("90", 90), ("1:30", 90), ("00:01:30.250", 90.25), ("999:59:59.5", 3_599_999.5), ("3600", 3600), ("0", 0)],
)
def test_a_time_is_seconds_or_a_clock(text: str, start_s: float) -> None:
    for got in (options(("start", text)), options(("options", f'{{"start": {start_s}}}'))):
        assert (got.start, got.part) == (start_s, Part(start_s))
        assert msgspec.json.decode(got.job_options_json(), type=JobOptions) == got.job_options()


def test_a_job_without_text_makes_no_denoised_recording() -> None:
    assert options(("diarize_only", "true")) == SubmitOptions(diarize=True, denoise=False, diarize_only=True)
    assert options(("detect_language_only", "true")).denoise is False


@pytest.mark.parametrize(
    "fields",
    [
        [("keyterms", "Ann\r\n Bob Lee \n\n東京")],
        [("keyterms", '["Ann", "Bob Lee", "東京"]')],
        [("keyterms", "Ann"), ("keyterms", "Bob Lee\n東京")],
        [("options", '{"keyterms": ["Ann", "Bob Lee", "東京"]}')],
    ],
)
def test_key_terms_are_lines_or_a_list_and_the_field_may_repeat(fields: list[tuple[str, str]]) -> None:
    assert options(*fields).keyterms == ("Ann", "Bob Lee", "東京")


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


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"language": "en", "denoise": "false"},
        {"webhook_url": "https://example.com/hook"},
        {"metadata": '{"a": 1}', "prompt": "x"},
        {"webhook_secret": "whsec_" + "A" * 24, "min_speakers": "2", "max_speakers": "3"},
        {"diarize": "true", "num_speakers": "2", "languages": "en,fr", "task": "translate"},
    ],
)
def test_the_json_of_the_jobs_options_is_that_of_its_struct(values: dict[str, str]) -> None:
    collector = OptionCollector()
    for name, text in values.items():
        collector.add(name, text)
    options = collector.options()
    assert options.job_options_json().encode() == msgspec.json.encode(options.job_options())
    assert collector.options() is options
    collector.add("model", "base")
    assert collector.options().model == "base"
