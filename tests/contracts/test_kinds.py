"""Old bytes are read by this version, and what this version writes was readable by the old ones."""

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
from tests.contracts.kinds import KINDS, WITHIN_ONE_PROCESS
from tests.contracts.names import names
from tests.contracts.recorded import VERSION, Recorded, RecordedKind, bytes_of, read_recorded, versions
from tests.stack.launched import ROOT

DECODED_AS = re.compile(r"decode\(.*?, type=([A-Za-z_.]+(?:\[[^\]]*\])?)\)")
FROM_ELSEWHERE = {"_Answer", "_ErrorBody"}  # what remote engines write
ANYTHING = {"dict[str, Any]", "dict[str, object]"}  # is looked at without knowing what it is

# Fields that this version passes over: nobody reads them any more, or ever did.
PASSED_OVER = {("row tasks.failure", "transient"), ("row tasks.failure", "retry_after_s")}

RECORDED = {version: read_recorded(version) for version in versions()}
EACH = [pytest.param(name, kind, id=f"{version} {name}")
        for version, recorded in RECORDED.items() for name, kind in recorded.kinds.items()]  # fmt: skip


@pytest.mark.parametrize(("name", "recorded"), EACH)
def test_what_a_version_wrote_is_read_with_nothing_lost(name: str, recorded: RecordedKind) -> None:
    kind = KINDS[name]
    for text in recorded.written:
        data = bytes_of(text, kind)
        then, now = _plain(kind.read(data, Any)), _plain(kind.read(data))
        assert _lost(then, now, name) == []


@pytest.mark.parametrize(("name", "recorded"), EACH)
def test_what_this_version_writes_was_readable_then(name: str, recorded: RecordedKind) -> None:
    kind = KINDS[name]
    for data in kind.written:
        jsonschema.validate(msgspec.to_builtins(kind.read(data, Any)), recorded.schema)


@pytest.mark.parametrize("version", versions())
def test_names_are_as_they_were(version: str) -> None:
    then, now = RECORDED[version].names, msgspec.to_builtins(names())
    assert {name: now.get(name) for name in then} == then


def test_this_version_is_recorded_with_every_kind_of_bytes() -> None:
    recorded = RECORDED.get(VERSION, Recorded())
    assert (set(recorded.kinds), set(recorded.names)) == (set(KINDS), set(names())), "make record-contracts"


def test_every_struct_that_both_services_share_is_among_the_kinds_or_said_to_stay() -> None:
    crossing = {struct.__name__ for kind in KINDS.values() for struct in _structs(kind.written_as, kind.read_as)}
    ours = {struct.__name__ for struct in _shared_structs()}
    assert ours - crossing == set(WITHIN_ONE_PROCESS)


def test_whatever_a_service_decodes_is_among_the_kinds() -> None:
    crossing = {struct.__name__ for kind in KINDS.values() for struct in _structs(kind.read_as)}
    sources = [
        path for each in ("shared", "ingest_service", "processor_service") for path in (ROOT / each).rglob("*.py")
    ]
    found = {name for path in sources for name in DECODED_AS.findall(path.read_text())}
    assert "Transcript" in found
    named = {re.findall(r"\w+", name)[-1 if "[" not in name else 1] for name in found - ANYTHING}
    assert named - FROM_ELSEWHERE <= crossing


def test_only_what_clients_alone_write_may_refuse_what_it_does_not_know() -> None:
    refusing = {
        name
        for name, kind in KINDS.items()
        for struct in _structs(kind.read_as)
        if struct.__struct_config__.forbid_unknown_fields
    }
    assert refusing == {name for name, kind in KINDS.items() if kind.from_clients}


def test_options_of_a_newer_version_are_read_and_kept() -> None:
    newer = '{"language":"de","prompt":"Zoë","shape":{"a":1}}'
    assert msgspec.json.decode(newer, type=JobOptions) == JobOptions(language="de", prompt="Zoë")
    assert without_prompt(newer) == '{"language":"de","shape":{"a":1}}'


@pytest.mark.parametrize("name", KINDS)
def test_an_example_leaves_nothing_at_its_default(name: str) -> None:
    kind = KINDS[name]
    told = {field for data in kind.written for field in _told(kind.read(data, kind.written_as))}
    fields = {
        (struct.__name__, field.name)
        for struct in _structs(kind.written_as)
        for field in msgspec.structs.fields(struct)
    }
    assert fields - told == set()


def _structs(*types: Any) -> set[type[msgspec.Struct]]:
    """All that a type is made of."""
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


def _told(value: Any) -> Iterator[tuple[str, str]]:
    """The fields of all structs in a value that are not at their defaults."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            given = getattr(value, field.name)
            if given != field.default:
                yield type(value).__name__, field.name
            yield from _told(given)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _told(each)


def _plain(value: Any) -> Any:
    """As JSON has it, with what is at its default."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, msgspec.Struct) and not value.__struct_config__.array_like:
        return {field.encode_name: _plain(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return msgspec.to_builtins(value)


def _lost(then: Any, now: Any, name: str) -> list[Any]:
    """What was there then and is not now, but for what is passed over."""
    if isinstance(then, dict) and isinstance(now, dict):
        kept = [key for key in then if (name, key) not in PASSED_OVER]
        return [each for key in kept for each in _lost(then[key], now.get(key, "nothing"), name)]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [each for pair in zip(then, now, strict=True) for each in _lost(*pair, name)]
    return [] if then == now else [(then, now)]
