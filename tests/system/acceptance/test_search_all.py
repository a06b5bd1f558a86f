"""Real speech is found over all transcripts by words in other forms, of short and long files, until it is erased."""

from pathlib import Path
from typing import Any

from tests.support.acceptance.client import Client
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK


async def search(client: Client, q: str) -> list[dict[str, Any]]:
    async with client.http.get("/v1/search", params={"q": q}) as response:
        assert response.status == 200, await response.text()
        return list((await response.json())["hits"])


async def test_speech_is_found_in_searchable_jobs_alone(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write_long_audio(path, duration_s=60)
    jobs = [
        await client.submit(JFK.path, searchable=True),
        await client.submit(JFK.path),
        await client.submit(path, searchable=True),
    ]
    for job_id in jobs:
        assert (await client.ended(job_id))["status"] == "COMPLETED"

    found = [hit for hit in await search(client, "ask country american") if hit["job_id"] in jobs]

    assert {hit["job_id"] for hit in found} == {jobs[0], jobs[2]}
    (hit,) = [hit for hit in found if hit["job_id"] == jobs[0]]
    assert hit["filename"] == JFK.path.name
    assert 0 <= hit["start"] < 5
    assert "american" in hit["snippet"][slice(*hit["highlights"][0])].lower()

    async with client.http.delete(f"/v1/jobs/{jobs[0]}") as response:
        assert response.status == 204
    assert jobs[0] not in [hit["job_id"] for hit in await search(client, "americans")]
