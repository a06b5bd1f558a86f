"""JSON of clients is bounded in depth and size by one decoder."""

import ast
from pathlib import Path

import pytest

import ingest_service
from ingest_service.client_json import (
    MAX_DEPTH,
    MAX_METADATA_BYTES,
    MAX_NODES,
    ClientJsonError,
    check_metadata,
    decode_json,
)
from ingest_service.errors import RefusedError
from ingest_service.uploads.parse_options import OptionCollector

PACKAGE = Path(ingest_service.__file__).parent
# They decode what this service stored itself.
READERS_OF_STORED_JSON = {
    "console_files.py",
    "formats/__main__.py",
    "formats/render.py",
    "jobs/dead_letters.py",
    "jobs/diarize.py",
    "jobs/full_text.py",
    "jobs/queries.py",
    "jobs/transcript_edits.py",
    "jobs/vocabulary.py",
    "jobs/views.py",
    "jobs/webhooks.py",
    "jobs/work.py",
    "openai_api/answers.py",
    "openai_api/errors.py",
    "openai_api/transcribe.py",
    "routes/asr.py",
}


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


def objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text", [nested(MAX_DEPTH), objects(MAX_DEPTH), '["' + "[" * 999 + '"]', '"\\"[[["', "[1,[2]]"]
)
def test_shallow_json_is_decoded(text: str) -> None:
    assert decode_json(text, object) is not None


DEEP = [
    nested(MAX_DEPTH + 1),
    objects(MAX_DEPTH + 1),
    "[" * 60_000,
    nested(976),
    nested(60_000),
    '["\\\\",' + nested(MAX_DEPTH) + ',"]"]',
    '{"a":"' + "]" * 40 + '","b":' + nested(MAX_DEPTH) + "}",
    "[" + "[]," * MAX_NODES + "0]",
]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_deep_or_wide_json_is_refused(text: str) -> None:
    with pytest.raises(ClientJsonError, match="levels"):
        decode_json(text, object)


@pytest.mark.parametrize("text", ["", "{", '"', '"\\', "[}", "[" * 9, "nul", "\ud800", b"\xff", '{"a":1}]'])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ClientJsonError):
        decode_json(text, object)


def test_metadata_counts_as_it_is_stored() -> None:
    check_metadata("x" * (MAX_METADATA_BYTES - 2))
    for large in ("x" * (MAX_METADATA_BYTES - 1), ["\x00"] * MAX_METADATA_BYTES, {"a": "é" * MAX_METADATA_BYTES}):
        with pytest.raises(ClientJsonError, match=str(MAX_METADATA_BYTES)):
            check_metadata(large)


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
def test_each_way_to_send_metadata_has_the_same_bound(levels: int) -> None:
    ways = (("metadata", nested(levels)), ("options", '{"metadata":' + nested(levels) + "}"))
    for name, text in ways:
        if levels <= MAX_DEPTH:
            OptionCollector().add(name, text)
        else:
            with pytest.raises(RefusedError, match=r"levels") as refusal:
                OptionCollector().add(name, text)
            assert refusal.value.code == "invalid_option"


def decodes_json(tree: ast.AST) -> bool:
    """Whether a module calls a JSON decoder: `msgspec.json.decode`, `json.loads`, the framework's or a Decoder."""
    names = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return any(name.endswith(("json.decode", "json.loads", "json.Decoder", "JSONDecoder")) for name in names)


def test_no_other_module_decodes_json_of_clients() -> None:
    found = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if decodes_json(ast.parse(path.read_text()))
    }
    assert found == READERS_OF_STORED_JSON | {"client_json.py"}
