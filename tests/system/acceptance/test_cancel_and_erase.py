"""Cancelling and erasing a job during its work: the work stops, the slot is free, nothing remains."""

import os
from pathlib import Path
from uuid import UUID

import asyncpg

from shared.blobs import blob_keys
from tests.support.acceptance.client import Client, Receiver
from tests.support.acceptance.under_way import submit_and_wait_for_work
from tests.support.clips import JFK
from tests.support.stack.launched import Launched, alive, descendants, until


def _children(stack: Launched) -> set[int]:
    return descendants(stack.pids()["processor-0"])


async def test_cancelling_stops_the_work_frees_the_slots_and_sends_the_webhook(
    client: Client, receiver: Receiver, stack: Launched, database: asyncpg.Connection, tmp_path: Path
) -> None:
    job_id, _ = await submit_and_wait_for_work(client, database, tmp_path, webhook_url=receiver.url)
    at_work = _children(stack)

    async with client.http.post(f"/v1/jobs/{job_id}/cancel") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "CANCELLED")

    event = await receiver.event()
    assert (event["type"], event["data"]["job_id"]) == ("job.cancelled", job_id)
    await until(lambda: alive(at_work) != at_work)  # the child that worked on it is dead
    assert (await client.ended(await client.submit(JFK.path, denoise=False)))["status"] == "COMPLETED"
    assert (await client.job(job_id))["status"] == "CANCELLED"
    assert await database.fetchval("SELECT count(*) FROM webhook_events WHERE job_id = $1", job_id) == 1


async def test_an_erased_job_leaves_only_a_tombstone(
    client: Client, stack: Launched, database: asyncpg.Connection, tmp_path: Path
) -> None:
    job_id, _ = await submit_and_wait_for_work(client, database, tmp_path, metadata={"name": "Ada"}, prompt="Ada")
    blobs = stack.data_dir.blobs
    assert (blobs / blob_keys.source(UUID(job_id))).exists()

    async with client.http.delete(f"/v1/jobs/{job_id}") as answer:
        assert answer.status == 204
    async with client.http.get(f"/v1/jobs/{job_id}") as answer:
        assert answer.status == 410

    row = await database.fetchrow("SELECT status, metadata, options, erased_at FROM jobs WHERE id = $1", job_id)
    assert (row["status"], row["metadata"], "Ada" in row["options"]) == ("CANCELLED", None, False)
    # What a worker wrote after the deletion is deleted too.
    await until(lambda: not [path for path, _, files in os.walk(blobs) if job_id in path or job_id in " ".join(files)])
