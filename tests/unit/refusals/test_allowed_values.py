"""Refusals of a value say in a sentence what is allowed: for every option, setting and body, found by introspection."""

import datetime as dt
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import inspect

from ingest_service.auth.api_keys import NewApiKey
from ingest_service.auth.webhook_secrets import Rotation
from ingest_service.errors import RefusedError
from ingest_service.settings import IngestSettings
from ingest_service.uploads.parse_options import OPTION_TYPES, OptionCollector
from processor_service.settings import ProcessorSettings
from shared.allowed_values import allowed, allowed_each, why_refused
from shared.settings import SettingsError, group_of, load_settings
from tests.support.refusals import assert_is_a_sentence

REQUIRED = {
    "HEADRACE_DATABASE_URL": "postgresql://h@localhost/h",
    "HEADRACE_REDIS_URL": "redis://localhost",
    "HEADRACE_STORAGE_URL": "file:///tmp/h",
}
BAD_TEXTS = ("", "*", "nonsense!", "-1", "99999999999999999999", "nan", "1.5", "x" * 20_000, "\x00", "[", "http://a b/")
BAD_VALUES: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, "", "nonsense!", "x" * 20_000, [], [1], {}, {"a": 1})


@pytest.mark.parametrize(
    ("hint", "sentence"),
    [
        (bool, "`true` or `false`"),
        (int | None, "a whole number"),
        (Annotated[int, msgspec.Meta(ge=1, le=64)], "a whole number from 1 to 64"),
        (Annotated[float, msgspec.Meta(gt=0)], "a number above 0"),
        (Annotated[float, msgspec.Meta(gt=0, le=0.5)], "a number above 0, at most 0.5"),
        (Annotated[int, msgspec.Meta(le=3)], "a whole number of at most 3"),
        (Annotated[str, msgspec.Meta(min_length=1, max_length=9)], "text of 1 to 9 characters"),
        (Annotated[str, msgspec.Meta(pattern="^x$", description="an x")], "an x"),
        (Literal["a", "b", "c"], "`a`, `b` or `c`"),
        (dt.date, "a date such as `2026-01-31`"),
        (list[Literal["a"]], "a list, each `a`"),
        (Annotated[list[int], msgspec.Meta(min_length=1)], "a list of at least 1 item, each a whole number"),
        (dict[str, Any], "a JSON object"),
        (int | str, "a whole number or text"),
    ],
)
def test_a_type_in_words(hint: Any, sentence: str) -> None:
    assert allowed(hint) == sentence


@pytest.mark.parametrize("hint", [Literal["a", "b"], list[Literal["a", "b"]], list[Literal["a", "b"]] | None])
def test_each_value_of_a_parameter_in_words(hint: Any) -> None:
    assert allowed_each(hint) == "`a` or `b`"


def _patterns(hint: Any) -> Iterator[Any]:
    """Yield the inspected parts of a type that have a pattern."""
    kind = inspect.type_info(hint) if not isinstance(hint, inspect.Type) else hint
    if isinstance(kind, inspect.Metadata) and isinstance(kind.type, inspect.StrType) and kind.type.pattern:
        yield kind
        return
    if isinstance(kind, inspect.StrType) and kind.pattern:
        yield kind
    for name in ("type", "item_type"):
        if isinstance(inner := getattr(kind, name, None), inspect.Type):
            yield from _patterns(inner)
    for inner in getattr(kind, "types", ()):
        yield from _patterns(inner)


def _settings() -> Iterator[tuple[type[Any], str, Any]]:
    for service in (IngestSettings, ProcessorSettings):
        hints = typing.get_type_hints(service, include_extras=True)
        for field in msgspec.structs.fields(service):
            yield service, field.name, hints[field.name]


def test_every_pattern_has_words() -> None:
    hints = [*OPTION_TYPES.values(), *(hint for _, _, hint in _settings() if not group_of(hint))]
    hints += [field.type for kind in (NewApiKey, Rotation) for field in msgspec.structs.fields(kind)]
    found = [pattern for hint in hints for pattern in _patterns(hint)]

    assert len(found) >= 7
    assert all(isinstance(one, inspect.Metadata) and one.extra_json_schema for one in found)


def assert_all_name(name: str, refusals: list[RefusedError]) -> None:
    for error in refusals:
        assert (error.code, f"`{name}`" in error.detail) == ("invalid_option", True)
        assert_is_a_sentence(error.detail)


@pytest.mark.parametrize("name", OPTION_TYPES)
def test_each_option_as_text(name: str) -> None:
    refusals = []
    for text in BAD_TEXTS:
        try:
            OptionCollector().add(name, text)
        except RefusedError as error:
            refusals.append(error)
    assert refusals
    assert_all_name(name, refusals)


@pytest.mark.parametrize("name", OPTION_TYPES)
def test_each_option_as_json(name: str) -> None:
    refusals = []
    for value in BAD_VALUES:
        collector = OptionCollector()
        try:
            collector.add_values({name: value})
            collector.options()
        except RefusedError as error:
            refusals.append(error)
    assert refusals or name == "metadata"
    assert_all_name(name, refusals)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("task", "summarize", "`transcribe` or `translate`"),
        ("model", "../x", "the name of a model, such as `base`"),
        ("webhook_url", "file:///etc/passwd", "http or https URL"),
        ("metadata", "", "it is empty"),
        ("metadata", " ", "it is empty"),
        ("metadata", "{", "it ends too early"),
        ("metadata", "{]", "at byte 1"),
        ("metadata", f'"{"x" * 20_000}"', "at most 16384 bytes"),
        ("language", "english", "Whisper's language codes: af, am"),
        ("num_speakers", "0", "from 1 to 64"),
        ("options", "[]", "a JSON object"),
        ("options", "", "it is empty"),
        ("colour", "red", "Options: language, "),
    ],
)
def test_what_is_allowed_is_said(name: str, text: str, said: str) -> None:
    def submit() -> None:
        collector = OptionCollector()
        collector.add(name, text)
        collector.options()

    with pytest.raises(RefusedError) as refusal:
        submit()

    assert f"`{name}`" in refusal.value.detail
    assert said in refusal.value.detail
    assert_is_a_sentence(refusal.value.detail)


@pytest.mark.parametrize(("service", "name"), [(service, name) for service, name, hint in _settings()])
def test_each_setting(service: Any, name: str) -> None:
    refusals = []
    for text in (text[:200] for text in BAD_TEXTS if text != "\x00"):  # an environment has no NUL
        try:
            load_settings(service, {**REQUIRED, f"HEADRACE_{name.upper()}": text})
        except SettingsError as error:
            refusals.append(str(error))
    for refusal in refusals:
        assert "HEADRACE_" in refusal
        assert_is_a_sentence(refusal)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HEADRACE_CORS_ORIGINS": "*"}, "HEADRACE_CORS_ORIGINS must be a list, separated by commas, each an origin"),
        ({"HEADRACE_CORS_ORIGINS": "https://a.example/"}, "such as https://app.example.com"),
        ({"HEADRACE_AUTH": "maybe"}, "HEADRACE_AUTH must be `none` or `required`"),
        ({"HEADRACE_PORT": "x"}, "HEADRACE_PORT must be a whole number from 0 to 65535"),
        ({"HEADRACE_FETCH_SCHEMES": "ftp"}, "each `http` or `https`"),
        ({"HEADRACE_STORAGE_URL": "/data"}, "such as file:///data"),
    ],
)
def test_a_setting_says_what_is_allowed(environ: Mapping[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings(IngestSettings, {**REQUIRED, **environ})


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (
            NewApiKey,
            {},
            "`scopes` is missing. It must be a list of 1 to 4 items, each `submit`, `read`, `observe` or `admin`",
        ),
        (
            NewApiKey,
            {"scopes": []},
            "`scopes` must be a list of 1 to 4 items, each `submit`, `read`, `observe` or `admin`",
        ),
        (NewApiKey, {"scopes": ["read", "own"]}, "`scopes` must be `submit`, `read`, `observe` or `admin`"),
        (NewApiKey, {"scopes": ["read"], "expires_days": 0}, "`expires_days` must be a whole number from 1 to 3650"),
        (NewApiKey, {"scopes": ["read"], "x": 1}, "`x` is not a field. Fields: scopes, purpose, expires_days"),
        (NewApiKey, {"scopes": ["read"], "purpose": "a b"}, "`purpose` must be 1 to 63 letters, digits"),
        (NewApiKey, {"scopes": ["read"], "purpose": "a\n"}, "`purpose` must be 1 to 63 letters, digits"),
        (NewApiKey, [], "The value must be an object with the fields scopes, purpose, expires_days"),
        (Rotation, {"previous_valid_s": -1}, "`previous_valid_s` must be a whole number from 0 to 604800"),
    ],
)
def test_a_body_says_which_field_is_wrong(kind: Any, value: Any, sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.convert(value, kind)

    said = why_refused(refusal.value, kind)
    assert said.startswith(sentence)
    assert_is_a_sentence(said)
