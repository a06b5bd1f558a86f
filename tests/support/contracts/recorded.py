"""What each version wrote, in one file a version. `make record-contracts` adds to a file and never changes entries."""

import base64
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from tests.support.contracts.kinds import Kind
from tests.support.stack.launched import ROOT

FOLDER = Path(__file__).parent / "recorded"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


class RecordedKind(msgspec.Struct, frozen=True):
    """Examples that a version wrote of a kind, as text or base64, and the JSON schema that it read."""

    written: tuple[str, ...]
    schema: dict[str, Any]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a version wrote: bytes by kind, names, column types by table, and rows by table."""

    kinds: dict[str, RecordedKind] = {}
    names: dict[str, Any] = {}
    columns: dict[str, dict[str, str]] = {}
    rows: dict[str, list[dict[str, Any]]] = {}


def path_of(version: str) -> Path:
    return FOLDER / f"{version}.json"


def versions() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_recorded(version: str) -> Recorded:
    return msgspec.json.decode(path_of(version).read_bytes(), type=Recorded)


def write_recorded(version: str, recorded: Recorded) -> None:
    text = json.dumps(msgspec.to_builtins(recorded), indent=1, ensure_ascii=False, sort_keys=True)
    path_of(version).write_text(text + "\n", encoding="utf-8")


def record(kind: Kind) -> RecordedKind:
    written = [base64.b64encode(data).decode() if kind.is_msgpack else data.decode() for data in kind.written]
    return RecordedKind(tuple(written), msgspec.json.schema(kind.read_as))


def bytes_of(text: str, kind: Kind) -> bytes:
    return base64.b64decode(text) if kind.is_msgpack else text.encode()
