"""The expressions of the OpenAPI document mean the same in every language: clients check with them what we refuse."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_service.app import create_app
from ingest_service.openapi.complete import completed
from ingest_service.settings import IngestSettings
from shared.secret import Secret

# JavaScript knows the letters of `\w` and `\b` only in ASCII, Python knows all. Blanks and digits differ, too.
DIFFERENT = re.compile(r"(?<!\\)(?:\\\\)*\\[wWsSdDbB]")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    nowhere = Secret("")
    settings = IngestSettings(database_url=nowhere, redis_url=nowhere, storage_url="file:///blobs")
    return completed(create_app(settings).openapi_schema.to_schema())


def patterns_of(schema: Any) -> Iterator[str]:
    match schema:
        case {"pattern": str(pattern)}:
            yield pattern
    if isinstance(schema, dict | list):
        for one in schema.values() if isinstance(schema, dict) else schema:
            yield from patterns_of(one)


def test_no_pattern_depends_on_the_dialect(document: dict[str, Any]) -> None:
    patterns = set(patterns_of(document))
    assert len(patterns) > 20
    assert not [pattern for pattern in sorted(patterns) if DIFFERENT.search(pattern)]


@pytest.mark.parametrize(
    ("pattern", "differs"),
    [(r"\S", True), (r"[^\s\\]", True), (r"^\\s$", False), (r"^\\\d$", True), (r"^[^\x00-\x20\u2028\\/]$", False)],
)
def test_classes_are_found(pattern: str, *, differs: bool) -> None:
    assert bool(DIFFERENT.search(pattern)) is differs
