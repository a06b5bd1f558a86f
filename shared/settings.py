"""Settings: one frozen Struct a service, read from `HEADRACE_*` once at start and passed down.

Field `redis_url` is `HEADRACE_REDIS_URL`; tuples are comma-separated. Nobody else reads the environment.
"""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

PREFIX = "HEADRACE_"
S = TypeVar("S", bound="CommonSettings")


class SettingsError(Exception):
    """A setting is missing or invalid; the message names the variable, never its value."""


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What both services need."""

    database_url: str
    redis_url: str
    storage_url: str
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    failpoints: str = ""  # for tests only: a folder of orders to misbehave, see shared.failpoints


def load_settings(settings_type: type[S], environ: Mapping[str, str]) -> S:
    """Read and validate a service's settings; raises SettingsError with one clear sentence."""
    hints = typing.get_type_hints(settings_type, include_extras=True)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(settings_type):
        variable = PREFIX + field.name.upper()
        text = environ.get(variable)
        if text is None or text == "":
            if field.required:
                raise SettingsError(f"{variable} is not set")
            continue
        values[field.name] = _parse(variable, text, hints[field.name])
    try:
        return settings_type(**values)
    except ValueError as error:  # a rule in __post_init__
        raise SettingsError(str(error)) from error


def _parse(variable: str, text: str, hint: Any) -> Any:
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    value: Any = [part.strip() for part in text.split(",")] if typing.get_origin(plain) is tuple else text
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{variable} is invalid: {error}") from None
