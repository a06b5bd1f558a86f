"""Settings: one frozen Struct a service, read from `HEADRACE_*` once at start and passed down.

Field `redis_url` is `HEADRACE_REDIS_URL`; tuples are comma-separated. A tuple of Structs is a list of names, each with
settings of its own: for `HEADRACE_PROVIDERS=a,b`, `HEADRACE_PROVIDER_A_URL` and so on.
`shared/environment.py` reads the environment.
"""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from shared.allowed_values import allowed
from shared.connections.postgres import Pooler, why_no_database
from shared.connections.redis_url import why_no_redis
from shared.environment import PREFIX
from shared.queue.fair_shares import INTERACTIVE_SHARE
from shared.schemas.bucket_urls import BucketFolder, bucket_of
from shared.sealed import why_no_seal
from shared.secret import Secret, decode_secret

S = TypeVar("S", bound="CommonSettings")


class SettingsError(Exception):
    """A setting is missing or invalid; the message names the variable, never its value."""


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of both services."""

    database_url: Secret
    database_pooler: Pooler = "none"  # the pooler before the database; one that is not named here is refused
    database_direct_url: Secret = Secret("")  # bypasses the pooler for what needs a session; empty: none
    redis_url: Secret
    storage_url: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(file|s3|gs|az)://[^/@]*(/|$)",
            description="a URL without credentials, such as file:///data, s3://bucket, gs://bucket or az://container",
        ),
    ]
    storage_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # the longest that one request to a bucket may take
    storage_retry_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0  # a failed request is not retried after this time
    max_upload_bytes: Annotated[int, msgspec.Meta(ge=1)] = 5 << 30  # a larger upload gets 413
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 30  # stays free on local disks; 0: no reserve
    fetch_schemes: tuple[Literal["http", "https"], ...] = ("http", "https")  # allowed in `audio_url`
    source_buckets: tuple[BucketFolder, ...] = ()  # that `audio_url` may name, as s3://bucket/key; empty: none
    result_buckets: tuple[BucketFolder, ...] = ()  # that `results_to` may name; empty: none
    encryption_keys: Secret = Secret("")  # seal `audio_headers` in the database; empty: they are refused
    interactive_share: Annotated[float, msgspec.Meta(ge=0.01, le=0.9)] = (
        INTERACTIVE_SHARE  # of jobs that clients wait for, in the audio that starts while other jobs wait
    )
    voices: bool = False  # tenants may keep voices of people: embeddings, which are biometric data
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_url: Secret = Secret("")  # of the collector for traces; empty: none are sent
    trace_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # fraction of jobs that are traced
    failpoints: str = ""  # for tests only: a folder of faults to inject, see shared.failpoints

    def why_unreachable(self) -> str:
        """Return what is wrong with the URLs of PostgreSQL and Redis; empty when they are valid. Does not connect."""
        return (
            why_no_database("HEADRACE_DATABASE_URL", self.database_url.reveal())
            or why_no_database("HEADRACE_DATABASE_DIRECT_URL", self.database_direct_url.reveal())
            or why_no_redis(self.redis_url.reveal())
        )

    def why_unusable(self) -> str:
        """Return what is wrong with the buckets of clients and the keys; empty when they are valid."""
        own = bucket_of(self.storage_url)
        for name in ("source_buckets", "result_buckets"):
            if own and any(folder.partition("/")[0] == own for folder in getattr(self, name)):
                return f"HEADRACE_{name.upper()} must not name the bucket of HEADRACE_STORAGE_URL"
        return why_no_seal(self.encryption_keys)


def load_settings(settings_type: type[S], environ: Mapping[str, str]) -> S:
    """Read and validate a service's settings. Raise SettingsError with one sentence."""
    try:
        return settings_type(**_read(settings_type, PREFIX, environ))
    except ValueError as error:  # a rule in __post_init__
        raise SettingsError(str(error)) from error


def _read(kind: type[msgspec.Struct], prefix: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a Struct that are set, but not the name of a group's item."""
    hints = typing.get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        variable, hint = prefix + field.name.upper(), hints[field.name]
        if text := environ.get(variable):
            group = group_of(hint)
            read = _read_group(field.name, text, group, environ) if group else _parse(variable, text, hint)
            values[field.name] = read
        elif field.required and field.name != "name":
            raise SettingsError(f"{variable} is not set")
    return values


def group_of(hint: Any) -> type[msgspec.Struct] | None:
    """Return the Struct whose names a setting lists; None for any other setting."""
    item = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
    return item if isinstance(item, type) and issubclass(item, msgspec.Struct) else None


def group_prefix(field_name: str, name: str) -> str:
    """Return the prefix of one name's variables. The name of the list is a plural."""
    return f"{PREFIX}{field_name.removesuffix('s').upper()}_{name.upper()}_"


def _read_group(
    field_name: str, text: str, item_type: type[msgspec.Struct], environ: Mapping[str, str]
) -> tuple[msgspec.Struct, ...]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise SettingsError(f"{PREFIX}{field_name.upper()} lists a name twice")
    return tuple(_read_item(name, group_prefix(field_name, name), item_type, environ) for name in names)


def _read_item(name: str, prefix: str, item_type: type[msgspec.Struct], environ: Mapping[str, str]) -> msgspec.Struct:
    try:
        return item_type(**{**_read(item_type, prefix, environ), "name": name})
    except ValueError as error:  # a rule in __post_init__
        raise SettingsError(f"{prefix}… is invalid: {error}") from error


def _parse(variable: str, text: str, hint: Any) -> Any:
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    item = typing.get_args(plain)[0] if typing.get_origin(plain) is tuple else None
    value: Any = [part.strip() for part in text.split(",")] if item else text
    try:
        return msgspec.convert(value, hint, strict=False, dec_hook=decode_secret)
    except msgspec.ValidationError:
        wanted = f"a list, separated by commas, each {allowed(item)}" if item else allowed(hint)
        raise SettingsError(f"{variable} must be {wanted}") from None
