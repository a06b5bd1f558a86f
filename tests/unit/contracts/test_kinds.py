"""This version reads the bytes of older versions, and older versions can read the bytes of this one."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest

import shared
from shared.schemas.options import JobOptions, without_prompt
from shared.secret import encode_secret
from tests.support.contracts.kinds import INTERNAL, KINDS
from tests.support.contracts.names import names
from tests.support.contracts.recorded import VERSION, Recorded, RecordedKind, bytes_of, read_recorded, versions
from tests.support.stack.launched import ROOT

DECODED_AS = re.compile(r"decode\(.*?, type=([A-Za-z_.]+(?:\[[^\]]*\])?)\)")
OF_PROVIDERS = {"_Answer", "_ErrorBody", "_Completion", "_Fields"}  # responses of remote engines
OF_A_CHILD = {"Answer", "Fitted", "Order"}  # between a render and its parent, which has the same version
OF_THE_BUCKET = {"Manifest"}
OF_THE_PACKAGE = {"_RulesFile"}  # a file of the same version
UNTYPED = {"dict[str, Any]", "dict[str, object]", "dict[str, str]"}  # decoded without a schema

# Fields that no reader uses, and this version ignores.
IGNORED_FIELDS = {
    ("row tasks.failure", "transient"),
    ("row tasks.failure", "retry_after_s"),
    *(
        ("row tasks.input of a chunk, for clients", field)
        for field in ("file_start_frame", "channels", "starts_in_speech", "ends_in_speech")
    ),
}

RECORDED = {version: read_recorded(version) for version in versions()}
EACH = [pytest.param(name, kind, id=f"{version} {name}")
        for version, recorded in RECORDED.items() for name, kind in recorded.kinds.items()]  # fmt: skip


@pytest.mark.parametrize(("name", "recorded"), EACH)
def test_this_version_reads_old_bytes_and_loses_nothing(name: str, recorded: RecordedKind) -> None:
    kind = KINDS[name]
    for text in recorded.written:
        data = bytes_of(text, kind)
        then, now = _plain(kind.read(data, Any)), _plain(kind.read(data))
        assert _lost(then, now, name) == []


@pytest.mark.parametrize(("name", "recorded"), EACH)
def test_old_versions_can_read_what_this_version_writes(name: str, recorded: RecordedKind) -> None:
    kind = KINDS[name]
    for data in kind.written:
        jsonschema.validate(msgspec.to_builtins(kind.read(data, Any)), recorded.schema)


@pytest.mark.parametrize("version", versions())
def test_names_have_not_changed(version: str) -> None:
    then, now = RECORDED[version].names, msgspec.to_builtins(names())
    assert {name: now.get(name) for name in then} == then


def test_this_version_is_recorded_with_every_kind_of_bytes() -> None:
    recorded = RECORDED.get(VERSION, Recorded())
    assert (set(recorded.kinds), set(recorded.names)) == (set(KINDS), set(names())), "make record-contracts"


def test_every_shared_struct_is_a_kind_or_listed_as_internal_to_one_process() -> None:
    crossing = {struct.__name__ for kind in KINDS.values() for struct in _structs(kind.written_as, kind.read_as)}
    ours = {struct.__name__ for struct in _shared_structs()}
    assert ours - crossing == set(INTERNAL)


def test_every_type_that_a_service_decodes_is_a_kind() -> None:
    crossing = {struct.__name__ for kind in KINDS.values() for struct in _structs(kind.read_as)}
    sources = [
        path for each in ("shared", "ingest_service", "processor_service") for path in (ROOT / each).rglob("*.py")
    ]
    found = {name for path in sources for name in DECODED_AS.findall(path.read_text())}
    assert "Transcript" in found
    named = {re.findall(r"\w+", name)[-1 if "[" not in name else 1] for name in found - UNTYPED}
    assert named - OF_PROVIDERS - OF_THE_BUCKET - OF_THE_PACKAGE - OF_A_CHILD <= crossing


def test_only_kinds_from_clients_reject_unknown_fields() -> None:
    strict = {
        name
        for name, kind in KINDS.items()
        for struct in _structs(kind.read_as)
        if struct.__struct_config__.forbid_unknown_fields
    }
    assert strict == {name for name, kind in KINDS.items() if kind.from_clients}


def test_options_of_a_newer_version_are_read_and_kept() -> None:
    newer = '{"language":"de","prompt":"Zoë","shape":{"a":1}}'
    assert msgspec.json.decode(newer, type=JobOptions) == JobOptions(language="de", prompt="Zoë")
    assert without_prompt(newer) == '{"language":"de","shape":{"a":1}}'


@pytest.mark.parametrize("name", KINDS)
def test_no_field_of_the_examples_has_its_default(name: str) -> None:
    kind = KINDS[name]
    given = {field for data in kind.written for field in _given_fields(kind.read(data, kind.written_as))}
    fields = {
        (struct.__name__, field.name)
        for struct in _structs(kind.written_as)
        for field in msgspec.structs.fields(struct)
    }
    assert fields - given == set()


def _structs(*types: Any) -> set[type[msgspec.Struct]]:
    """Return all Structs that a type contains."""
    found: set[type[msgspec.Struct]] = set()
    waiting = [msgspec.inspect.type_info(each) for each in types]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType) and info.cls not in found:
            found.add(info.cls)
            waiting += [field.type for field in info.fields]
        for name in ("item_type", "key_type", "value_type", "type"):
            inner = getattr(info, name, None)
            waiting += [inner] if isinstance(inner, msgspec.inspect.Type) else []
        for name in ("types", "item_types"):
            waiting += getattr(info, name, ())
    return found


def _shared_structs() -> Iterator[type[msgspec.Struct]]:
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(cls, msgspec.Struct) and cls.__module__ == module.name:
                yield cls


def _given_fields(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the Struct and field names in a value that differ from their defaults."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            field_value = getattr(value, field.name)
            if field_value != field.default:
                yield type(value).__name__, field.name
            yield from _given_fields(field_value)
    elif isinstance(value, (tuple, list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _given_fields(each)


def _plain(value: Any) -> Any:
    """Return a value as JSON represents it, including fields that have their defaults."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, msgspec.Struct) and not value.__struct_config__.array_like:
        fields = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        return {name: _plain(each) for name, each in fields.items() if each is not msgspec.UNSET}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return msgspec.to_builtins(value, enc_hook=encode_secret)


def _lost(then: Any, now: Any, name: str) -> list[Any]:
    """Return pairs of old and new values that differ, except in ignored fields."""
    if isinstance(then, dict) and isinstance(now, dict):
        kept = [key for key in then if (name, key) not in IGNORED_FIELDS]
        return [each for key in kept for each in _lost(then[key], now.get(key, "nothing"), name)]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [each for pair in zip(then, now, strict=True) for each in _lost(*pair, name)]
    return [] if then == now else [(then, now)]
