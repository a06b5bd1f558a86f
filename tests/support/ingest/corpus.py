"""The larger audio corpus: a folder that may stand beside the repository, with a manifest of what to expect."""

import json
from pathlib import Path
from typing import Any

from shared.media.sniff_container import HEAD_BYTES, sniff_container

CORPUS = Path(__file__).parents[4] / "shared" / "audio"


def corpus() -> list[dict[str, Any]]:
    manifest = CORPUS / "manifest.json"
    files: list[dict[str, Any]] = json.loads(manifest.read_text()) if manifest.exists() else []
    return files


def must_be_taken(item: dict[str, Any]) -> bool:
    return item["category"] != "malformed" or item["expect"] in {"accept", "limit"}


def sniff_file(item: dict[str, Any]) -> str | None:
    with (CORPUS / item["file"]).open("rb") as file:
        return sniff_container(file.read(HEAD_BYTES))
