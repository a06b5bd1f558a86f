"""Send every file of the larger corpus through the stack: speech is transcribed, malformed files end with an error."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.acceptance.client import Client
from tests.support.clips import JFK

pytestmark = [pytest.mark.slow, pytest.mark.corpus]
SPEECH = {"clean_speech", "format_variant", "noisy_speech", "long_joined"}


def _files(corpus: Path, categories: set[str]) -> list[dict[str, Any]]:
    manifest = json.loads((corpus / "manifest.json").read_text())
    return [entry for entry in manifest if entry["category"] in categories]


async def test_every_speech_file_is_completed_with_text(client: Client, corpus: Path) -> None:
    entries = _files(corpus, SPEECH)
    jobs = [await client.submit(corpus / entry["file"]) for entry in entries]
    ended = [await client.ended(job_id, within_s=1200) for job_id in jobs]
    texts = await asyncio.gather(*(client.transcript(job_id) for job_id in jobs))

    wrong = [
        (entry["file"], job["status"], job["error"], job["warnings"])
        for entry, job, text in zip(entries, ended, texts, strict=True)
        if job["status"] != "COMPLETED" or not text["text"]
    ]
    print(f"speech: {len(entries)} files, {len(wrong)} not completed with text: {wrong}")
    assert wrong == []


async def test_every_malformed_file_ends_as_expected(client: Client, corpus: Path) -> None:
    outcomes = {}
    entries = _files(corpus, {"malformed"})
    for entry in entries:
        status, answer = await client.try_submit(corpus / entry["file"])
        assert status < 500, (entry["file"], answer)
        if status == 202:
            job = await client.ended(answer["job_id"], within_s=1200)
            outcomes[entry["file"]] = job["status"] if job["status"] == "COMPLETED" else job["error"]["code"]
        else:
            assert "Traceback" not in json.dumps(answer)
            outcomes[entry["file"]] = f"{status} {answer['code']}"

    for file, outcome in outcomes.items():
        print(f"{file}: {outcome}")
    assert not {"internal", "poison", "timeout"} & set(outcomes.values())
    assert _files_with_outcome(entries, "reject", outcomes, "COMPLETED") == []
    assert _files_with_outcome(entries, "accept", outcomes, "COMPLETED") == [
        entry["file"] for entry in entries if entry["expect"] == "accept"
    ]


async def test_a_valid_upload_is_completed_afterwards(client: Client) -> None:
    assert (await client.ended(await client.submit(JFK.path)))["status"] == "COMPLETED"


def _files_with_outcome(
    entries: list[dict[str, Any]], expect: str, outcomes: dict[str, str], outcome: str
) -> list[str]:
    return [entry["file"] for entry in entries if entry["expect"] == expect and outcomes[entry["file"]] == outcome]
