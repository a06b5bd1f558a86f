"""Settings: one frozen Struct a service, read from `HEADRACE_*` once at start and passed down.

Field `redis_url` is `HEADRACE_REDIS_URL`; tuples are comma-separated. A tuple of Structs is a list of names, each with
settings of its own: of `HEADRACE_PROVIDERS=a,b`, `HEADRACE_PROVIDER_A_URL` and so on.
Nobody else reads the environment.
"""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from shared.connections.postgres import Pooler, why_no_database
from shared.connections.redis import why_no_redis

PREFIX = "HEADRACE_"
S = TypeVar("S", bound="CommonSettings")


class SettingsError(Exception):
    """A setting is missing or invalid; the message names the variable, never its value."""


class Secret:
    """Text that shows only where it is asked for: in no log, no message, no repr."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)" if self._text else "Secret()"


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What both services need."""

    database_url: str
    database_pooler: Pooler = "none"  # what stands before the database; one that nobody named is refused
    database_direct_url: str = ""  # past the pooler, for what needs a session; empty: none
    redis_url: str
    storage_url: Annotated[str, msgspec.Meta(pattern=r"^(file|s3|gs|az)://")]
    storage_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # that one request to a bucket may take
    storage_retry_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0  # after which one that fails is not begun again
    max_upload_bytes: Annotated[int, msgspec.Meta(ge=1)] = 5 << 30  # of the audio; a larger upload is a 413
    fetch_schemes: tuple[Literal["http", "https"], ...] = ("http", "https")  # that an `audio_url` may have
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_url: str = ""  # of a collector that traces are sent to; empty: none are
    trace_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # of all jobs, if any are traced
    failpoints: str = ""  # for tests only: a folder of orders to misbehave, see shared.failpoints

    def why_unreachable(self) -> str:
        """What is wrong with the ways to Postgres and Redis; empty: nothing that can be seen from here."""
        return (
            why_no_database("HEADRACE_DATABASE_URL", self.database_url)
            or why_no_database("HEADRACE_DATABASE_DIRECT_URL", self.database_direct_url)
            or why_no_redis(self.redis_url)
        )


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
        group = group_of(hints[field.name])
        values[field.name] = (
            _read_group(field.name, text, group, environ) if group else _parse(variable, text, hints[field.name])
        )
    try:
        return settings_type(**values)
    except ValueError as error:  # a rule in __post_init__
        raise SettingsError(str(error)) from error


def group_of(hint: Any) -> type[msgspec.Struct] | None:
    """The Struct of whose names a setting is a list; None for any other setting."""
    item = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
    return item if isinstance(item, type) and issubclass(item, msgspec.Struct) else None


def group_prefix(field_name: str, name: str) -> str:
    """What the variables of one name of a list begin with; the list's own name is a plural."""
    return f"{PREFIX}{field_name.removesuffix('s').upper()}_{name.upper()}_"


def _read_group(
    field_name: str, text: str, item_type: type[msgspec.Struct], environ: Mapping[str, str]
) -> tuple[msgspec.Struct, ...]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise SettingsError(f"{PREFIX}{field_name.upper()} lists a name twice")
    return tuple(_read_item(name, group_prefix(field_name, name), item_type, environ) for name in names)


def _read_item(name: str, prefix: str, item_type: type[msgspec.Struct], environ: Mapping[str, str]) -> msgspec.Struct:
    hints = typing.get_type_hints(item_type, include_extras=True)
    values: dict[str, Any] = {"name": name}
    for field in msgspec.structs.fields(item_type):
        variable = prefix + field.name.upper()
        if field.name != "name" and (text := environ.get(variable)):
            values[field.name] = _parse(variable, text, hints[field.name])
        elif field.name != "name" and field.required:
            raise SettingsError(f"{variable} is not set")
    try:
        return item_type(**values)
    except ValueError as error:  # a rule in __post_init__
        raise SettingsError(f"{prefix}… is invalid: {error}") from error


def _secret(wanted: type, value: Any) -> Any:
    if wanted is Secret:
        return Secret(value)
    raise NotImplementedError(wanted)


def _parse(variable: str, text: str, hint: Any) -> Any:
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    value: Any = [part.strip() for part in text.split(",")] if typing.get_origin(plain) is tuple else text
    try:
        return msgspec.convert(value, hint, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{variable} is invalid: {error}") from None
