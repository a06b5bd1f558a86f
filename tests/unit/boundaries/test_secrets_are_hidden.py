"""No repr of a Struct shows a secret: a password, a key, a token, or a URL that may contain one."""

import importlib
import pkgutil
import re
import traceback
import typing
from collections.abc import Iterator
from types import ModuleType
from uuid import UUID

import msgspec
import pytest

import ingest_service
import processor_service
import shared
from ingest_service.settings import IngestSettings
from ingest_service.tus.headers import CreationHead
from ingest_service.uploads.receive import UploadHead
from shared.blobs.blob_facts import SignedPut
from shared.connections.redis_url import parse_redis_url
from shared.schemas.options import SubmitOptions, decode_submission, encode_submission
from shared.secret import Secret
from shared.settings import SettingsError, load_settings

SECRET = "whsec_" + "bWF5IGJlIGtub3duOiBvZiBhIHRlc3Qu"
NAMES = re.compile(r"(^|_)(secret|password|passwd|key|keys|token|credential|credentials|url|dsn)(_|$)")
PLAIN_TYPES = (int, float, bool, UUID)  # lease tokens and counts grant no access outside the database
NOT_SECRET = {
    "ApiKeyList.keys": "key views do not contain keys",
    "ApiKeyView.key_id": "an id",
    "CreatedApiKey.key_id": "an id",
    "NewKey.key_id": "an id",
    "Caller.key_id": "an id",
    "Claim.key": "an Idempotency-Key",
    "CommonSettings.storage_url": "URLs with credentials are rejected",
    "IngestSettings.storage_url": "see CommonSettings",
    "ProcessorSettings.storage_url": "see CommonSettings",
    "ProviderSettings.url": "URLs with credentials are rejected",
    "ChatProviderSettings.url": "URLs with credentials are rejected",
    "SubmitOptions.webhook_url": "URLs with credentials are rejected",
    "AudioBlob.key": "a blob key",
    "InventoryFile.key": "a blob key",
    "SampleSource.key": "a blob key",
    "_Unit.key": "a word, to compare",
    "_Heard.key": "a word, to compare",
    "_Event.url": "a webhook URL; URLs with credentials are rejected",
    "Services.key_cache": "an object",
    "JobFilter.metadata_key": "a key of the client's metadata",
}


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every Struct of the product by its qualified name."""
    return {
        f"{module.__name__}.{name}": value
        for package in (ingest_service, processor_service, shared)
        for module in modules(package)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    }


def types_in(hint: typing.Any) -> set[typing.Any]:
    """The types of a hint without Annotated, unions and None."""
    if typing.get_origin(hint) is typing.Annotated:
        return types_in(typing.get_args(hint)[0])
    if typing.get_origin(hint) in {tuple, list}:
        return types_in(typing.get_args(hint)[0])
    if arguments := typing.get_args(hint):
        return {one for argument in arguments for one in types_in(argument)}
    return set() if hint is type(None) else {hint}


def test_every_secret_field_is_hidden() -> None:
    shown = []
    for name, struct in structs().items():
        hints = typing.get_type_hints(struct, include_extras=True)
        for field in filter(NAMES.search, struct.__struct_fields__):
            types = types_in(hints[field])
            if f"{struct.__name__}.{field}" in NOT_SECRET or types <= {Secret, *PLAIN_TYPES}:
                continue
            values = {each: SECRET if each == field else None for each in struct.__struct_fields__}
            if SECRET in repr(struct(**values)):
                shown.append(f"{name}.{field}")
    assert shown == []


def test_the_search_finds_the_known_secrets() -> None:
    found = structs()
    fields = {name.rpartition(".")[2]: typing.get_type_hints(struct) for name, struct in found.items()}
    for name in ("IngestSettings", "ProcessorSettings"):
        assert {fields[name][field] for field in ("database_url", "database_direct_url", "redis_url", "otlp_url")} == {
            Secret
        }
    assert fields["ProcessorSettings"]["webhook_secret"] is Secret
    assert Secret in types_in(fields["SubmitOptions"]["webhook_secret"])


@pytest.mark.parametrize("show", [repr, str, lambda value: f"{value}", lambda value: f"{value!r}", "{}".format])
def test_every_way_to_format_a_secret_hides_it(show: typing.Callable[[object], str]) -> None:
    assert SECRET not in show(Secret(SECRET))
    assert SECRET not in show(SubmitOptions(webhook_secret=Secret(SECRET)))


def test_settings_hide_passwords() -> None:
    environ = {
        "HEADRACE_DATABASE_URL": "postgresql://u:pa55-1@db/x",
        "HEADRACE_DATABASE_DIRECT_URL": "postgresql://u:pa55-2@db/x",
        "HEADRACE_REDIS_URL": "redis://:pa55-3@redis",
        "HEADRACE_STORAGE_URL": "file:///x",
    }
    settings = load_settings(IngestSettings, environ)
    assert "pa55" not in repr(settings)
    assert settings.database_url.reveal().count("pa55-1") == 1


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL", "OTLP_URL"])
def test_settings_errors_hide_passwords(variable: str) -> None:
    environ = {
        "HEADRACE_DATABASE_URL": "postgresql://db/x",
        "HEADRACE_REDIS_URL": "redis://redis",
        "HEADRACE_STORAGE_URL": "file:///x",
        f"HEADRACE_{variable}": "nonsense://u:pa55@[",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(IngestSettings, environ)
    assert "pa55" not in "".join(traceback.format_exception(caught.value))


def test_a_storage_url_with_credentials_is_rejected() -> None:
    environ = {"HEADRACE_DATABASE_URL": "postgresql://db/x", "HEADRACE_REDIS_URL": "redis://redis"}
    with pytest.raises(SettingsError, match="HEADRACE_STORAGE_URL must be a URL without credentials") as caught:
        load_settings(IngestSettings, environ | {"HEADRACE_STORAGE_URL": "s3://key:pa55@bucket/prefix"})
    assert "pa55" not in str(caught.value)
    kept = load_settings(IngestSettings, environ | {"HEADRACE_STORAGE_URL": "file:///a@b/blobs"})
    assert kept.storage_url == "file:///a@b/blobs"


def test_objects_of_an_upload_hide_its_webhook_secret() -> None:
    head = UploadHead(content_type="", boundary=None, content_length=None, query=f"webhook_secret={SECRET}")
    creation = CreationHead(length_bytes=None, metadata=f"webhook_secret {SECRET}", first=None)
    assert SECRET not in repr((head, creation, SignedPut(Secret(SECRET), {})))


@pytest.mark.parametrize("url", ["redis://:pa55@redis/0", "redis+sentinel://:pa55@a:1/m?sentinel_password=pa55"])
def test_the_repr_of_a_redis_address_hides_the_password(url: str) -> None:
    assert "pa55" not in repr(parse_redis_url(url))


def test_json_contains_the_secret_in_plain_text() -> None:
    options = SubmitOptions(webhook_secret=Secret(SECRET), language="de")
    stored = encode_submission(options)
    assert stored == b'{"language":"de","webhook_secret":"' + SECRET.encode() + b'"}'
    assert decode_submission(stored) == options
