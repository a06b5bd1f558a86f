"""How the form of OpenAI's audio API becomes a job's options: lenient where clients differ."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.openai_api.models import Models
from ingest_service.openai_api.request import MAX_TEXT_BYTES, READ, Asked, AudioForm, Task
from shared.schemas.languages import LANGUAGES
from shared.schemas.options import JobOptions, SubmitOptions

MODELS = Models(("mine=small.en", "both=default+diarize"), lambda: ("tiny.en", "large-v3-turbo"))


def asked(*fields: tuple[str, str], task: Task = "transcribe", deployment: str = "") -> Asked:
    form = AudioForm(task, MODELS, deployment)
    for name, text in fields:
        if form.wants(name):
            form.add(name, text)
    return form.asked()


def options(*fields: tuple[str, str]) -> dict[str, Any]:
    """The options that differ from those of an empty form."""
    found, usual = asked(*fields).options, asked().options
    return {
        name: value
        for name in SubmitOptions.__struct_fields__
        if (value := getattr(found, name)) != getattr(usual, name)
    }


def test_an_empty_form_asks_for_the_text() -> None:
    empty = asked()

    assert empty.options == SubmitOptions(denoise=False)
    assert (empty.response_format, empty.is_stream, empty.ignored) == ("json", False, ())
    assert asked(task="translate").options.task == "translate"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hans-CN", "zh"),
        ("English", "en"),
        (" german ", "de"),
        ("auto", None),
        ("", None),
    ],
)
def test_languages_are_read_in_every_spelling(sent: str, code: str | None) -> None:
    found = asked(("language", sent))

    assert (found.options.language, found.ignored) == (code, ())


def test_an_unknown_language_is_detected_instead() -> None:
    found = asked(("language", "xx"))

    assert (found.options.language, found.ignored) == (None, ("language",))


@pytest.mark.parametrize(
    ("fields", "wanted", "ignored"),
    [
        ([("languages[]", "en"), ("languages[]", "de")], {"languages": "en,de"}, ()),
        ([("languages", "en"), ("languages", "fr-FR")], {"languages": "en,fr"}, ()),
        ([("languages", "en, de")], {"languages": "en,de"}, ()),
        ([("languages", '["en", "de"]')], {"languages": "en,de"}, ()),
        ([("languages[0]", "en"), ("languages[1]", "de")], {"languages": "en,de"}, ()),
        ([("languages[]", "en"), ("languages[]", "en-GB")], {"language": "en"}, ()),
        ([("languages[]", "en"), ("languages[]", "xx")], {"language": "en"}, ("languages[]",)),
        ([("language", "de"), ("languages[]", "de"), ("languages[]", "en")], {"language": "de"}, ()),
        ([("language", "fr"), ("languages[]", "de")], {"language": "fr"}, ("languages[]",)),
        ([("languages[]", code) for code in sorted(LANGUAGES)[:9]], {}, ("languages[]",)),
    ],
)
def test_several_languages(fields: list[tuple[str, str]], wanted: dict[str, str], ignored: tuple[str, ...]) -> None:
    assert options(*fields) == wanted
    assert asked(*fields).ignored == ignored


def test_keywords_stand_before_the_prompt() -> None:
    assert options(("prompt", "After."), ("keywords[]", "a, b"), ("keywords", "c")) == {"prompt": "a, b, c. After."}
    assert options(("keywords", '["a", "b"]')) == {"prompt": "a, b"}
    assert options(("prompt", "a\x00b")) == {"prompt": "ab"}
    assert options(("prompt", "x" * 12_000 + "end")) == {"prompt": "x" * 9_997 + "end"}
    assert options(("prompt", " ")) == {}


@pytest.mark.parametrize(
    ("name", "model", "diarize", "is_known"),
    [
        ("whisper-1", None, False, True),
        ("Whisper-1", None, False, True),
        ("gpt-4o-transcribe-diarize", None, True, True),
        ("gpt-4o-mini-transcribe-2025-12-15", None, False, True),
        ("large-v3", None, False, True),
        ("Systran/faster-whisper-large-v3", None, False, True),
        ("openai/whisper-large-v3-turbo", "large-v3-turbo", False, True),
        ("Systran/faster-whisper-tiny.en", "tiny.en", False, True),
        ("tiny.en", "tiny.en", False, True),
        ("mine", "small.en", False, True),
        ("both", None, True, True),
        ("default", None, False, True),
        ("nova-2", None, False, False),
        ("../etc/passwd", None, False, False),
    ],
)
def test_any_name_of_a_model_is_accepted(name: str, *, model: str | None, diarize: bool, is_known: bool) -> None:
    found = asked(("model", name))

    assert (found.options.model, found.options.diarize) == (model, diarize)
    assert found.ignored == (() if is_known else ("model",))


def test_the_form_names_the_model_before_azures_path() -> None:
    assert asked(deployment="tiny.en").options.model == "tiny.en"
    assert asked(("model", "mine"), deployment="tiny.en").options.model == "small.en"


@pytest.mark.parametrize(
    ("fields", "granularities", "ignored"),
    [
        ([], {"segment"}, ()),
        ([("timestamp_granularities[]", "word")], {"word"}, ()),
        ([("timestamp_granularities", "word")], {"word"}, ()),
        ([("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")], {"word", "segment"}, ()),
        ([("timestamp_granularities", "word,segment")], {"word", "segment"}, ()),
        ([("timestamp_granularities", '["word"]')], {"word"}, ()),
        ([("timestamp_granularities[]", "letter")], {"segment"}, ("timestamp_granularities[]",)),
    ],
)
def test_granularities_in_every_spelling(
    fields: list[tuple[str, str]], granularities: set[str], ignored: tuple[str, ...]
) -> None:
    found = asked(("response_format", "verbose_json"), *fields)

    assert (set(found.granularities), found.ignored) == (granularities, ignored)


def test_granularities_of_another_format_have_no_effect() -> None:
    assert asked(("timestamp_granularities[]", "word")).ignored == ("timestamp_granularities[]",)


def test_a_diarized_answer_needs_speakers() -> None:
    assert options(("response_format", "diarized_json")) == {"diarize": True}
    assert asked(("response_format", " VTT ")).response_format == "vtt"


@pytest.mark.parametrize(
    ("sent", "is_stream", "ignored"),
    [("true", True, ()), ("1", True, ()), ("True", True, ()), ("false", False, ()), ("maybe", False, ("stream",))],
)
def test_booleans(sent: str, *, is_stream: bool, ignored: tuple[str, ...]) -> None:
    found = asked(("stream", sent))

    assert (found.is_stream, found.options.stream_windows, found.ignored) == (is_stream, is_stream, ignored)


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ([("temperature", "0")], ()),
        ([("temperature", "0.0")], ()),
        ([("temperature", "0.3")], ("temperature",)),
        ([("temperature", "warm")], ("temperature",)),
        ([("include[]", "logprobs")], ("include[]",)),
        ([("chunking_strategy", "auto")], ()),
        ([("chunking_strategy[type]", "server_vad")], ("chunking_strategy",)),
        ([("chunking_strategy", '{"type": "server_vad"}')], ("chunking_strategy",)),
        ([("known_speaker_names[]", "agent")], ("known_speaker_names[]",)),
        ([("hotwords", "x"), ("hotwords", "y"), ("bad\nname", "z")], ("hotwords",)),
    ],
)
def test_what_has_no_effect_is_ignored(fields: list[tuple[str, str]], ignored: tuple[str, ...]) -> None:
    found = asked(*fields)

    assert (found.options, found.ignored) == (asked().options, ignored)


def test_the_list_of_ignored_fields_is_bounded() -> None:
    assert len(asked(*[(f"field-{number}", "x") for number in range(100)]).ignored) == 16


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"^invalid_option: `response_format` must be one of json, text, srt, vtt, "):
        asked(("response_format", "docx"))


def test_the_text_of_a_form_is_bounded() -> None:
    form = AudioForm("transcribe", MODELS)
    form.add("prompt", "x" * MAX_TEXT_BYTES)
    with pytest.raises(RefusedError, match="invalid_form"):
        form.add("prompt", "x")


NAMES = [name + ending for name in sorted(READ) for ending in ("", "[]", "[0]", "[key]")]
TEXTS = [
    "",
    "en",
    "word",
    "0",
    "auto",
    '["a", "\\ud800", "\\u0000"]',
    "[[[",
    "{}",
    "true",
    "verbose_json",
    "mine",
    "NaN",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES) | st.text(max_size=20), st.sampled_from(TEXTS) | st.text(max_size=50)),
        max_size=12,
    )
)
def test_any_form_is_read_or_refused(fields: list[tuple[str, str]]) -> None:
    try:
        found = asked(*fields)
    except RefusedError:
        return
    stored = msgspec.json.encode(found.options.job_options())
    msgspec.json.decode(stored, type=JobOptions)
    ", ".join(found.ignored).encode("ascii")
