"""Record what this version writes. `make record-contracts` runs pytest on this file alone.

It adds what the file of this version lacks, and never changes what the file has: a released version stays as it is.
"""

import base64
import io
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from deploy.local.postgres import create_service_role
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.contracts.kinds import KINDS
from tests.support.contracts.names import names
from tests.support.contracts.recorded import VERSION, Recorded, path_of, read_recorded, record, write_recorded
from tests.support.contracts.rows import Rows, columns_of, dump
from tests.support.ingest.api_keys import new_key
from tests.support.ingest.serving import serving, until
from tests.support.ingest.tus_client import Tus
from tests.support.metrics.pair import Pair, running_pair
from tests.support.servers import SERVICE_PASSWORD
from tests.tools.chaos.sounds import damaged, speech_wav

OPTIONS = {"language": "de", "prompt": "Zoë", "diarize": "true", "searchable": "true", "metadata": '{"a": [1]}'}
REMOTE = {
    "audio_url": "https://example.com/talk.mp3",
    "audio_headers": {"Authorization": "Bearer abc"},
    "results_to": {"srt": "https://example.com/talk.srt"},
}
KEY = Secret(base64.b64encode(bytes(32)).decode())
QUOTA = "INSERT INTO tenant_quotas (tenant, bytes_a_day) VALUES ('default', 1000000000)"
DIRECT = "INSERT INTO direct_uploads (id, tenant) VALUES ('01990000-0000-7000-8000-000000000009', 'acme')"
LEADER = (
    "INSERT INTO maintenance_leaders VALUES ('maintenance', 0, 'host:1/1', now())"  # a stopped processor leaves none
)
VOCABULARY = """INSERT INTO vocabularies (tenant, content) VALUES ('acme', '{"keyterms":["Zoë"]}')"""
SESSION = """
    INSERT INTO sessions (id, tenant, key_id, digest, expires_at)
    SELECT 's0123456789abcdef', tenant, id, digest, now() + interval '1 hour' FROM api_keys LIMIT 1
"""
VOICE = """
    INSERT INTO voices (id, tenant, name, sample, attempts, claimed_until, embedding, speech_s, failure) VALUES (
        '01990000-0000-7000-8000-000000000010', 'default', 'Zoë',
        '{"name":"Zoë","job_id":"01990000-0000-7000-8000-000000000001","times":[[0.5,4.5]]}',
        1, now(), '\\x00', 3.5, 'Why.')
"""
REMOVE_PATHS = """
    UPDATE tasks SET failure = jsonb_set(failure::jsonb, '{traceback}', '"Traceback (most recent call last):"')::json
    WHERE failure IS NOT NULL
"""  # a traceback contains file paths


@pytest.fixture
def recorded() -> Recorded:
    return read_recorded(VERSION) if path_of(VERSION).exists() else Recorded()


def test_record_bytes_and_names(recorded: Recorded) -> None:
    kinds = {name: record(kind) for name, kind in KINDS.items()} | recorded.kinds
    write_recorded(VERSION, msgspec.structs.replace(recorded, kinds=kinds, names=names() | recorded.names))


async def test_record_rows(recorded: Recorded, database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Record the tables that the file lacks, after jobs of all kinds."""
    service_url = await create_service_role(database_url, SERVICE_PASSWORD)
    async with running_pair(service_url, redis_url, tmp_path, CHUNK_THRESHOLD_S="4", CHUNK_S="2") as pair:
        await finish_jobs(pair)
    settings = {"database_url": Secret(service_url), "redis_url": Secret(redis_url), "storage_url": tmp_path.as_uri()}
    await leave_unfinished_work(IngestSettings(**settings, encryption_keys=KEY))  # type: ignore[arg-type] # by name
    connection = await asyncpg.connect(database_url)
    await connection.execute(QUOTA)
    await connection.execute(DIRECT)
    await connection.execute(LEADER)
    await connection.execute(SESSION)
    await connection.execute(VOICE)
    await connection.execute(VOCABULARY)
    await connection.execute(REMOVE_PATHS)
    columns: dict[str, dict[str, str]] = {}
    for row in await columns_of(connection):
        columns.setdefault(row["table"], {})[row["column"]] = row["type"]
    rows: Rows = await dump(connection)
    await connection.close()
    assert all(rows.values()), [table for table in rows if not rows[table]]
    write_recorded(
        VERSION,
        msgspec.structs.replace(recorded, columns=columns | recorded.columns, rows=rows | recorded.rows),
    )


async def finish_jobs(pair: Pair) -> None:
    client, hook = pair.client, pair.receiver.url
    sounds = [speech_wav(3), speech_wav(10), damaged(speech_wav(3))]
    jobs = [await client.submit(sound, webhook_url=hook, **OPTIONS) for sound in sounds]
    assert [(await client.ended(job))["status"] for job in jobs] == ["COMPLETED", "COMPLETED", "FAILED"]
    for _ in jobs:
        await pair.receiver.event()
    await correct(client, jobs[0])
    await until(lambda: _are_settled(client))


async def correct(client: Any, job_id: str) -> None:
    """Save a version of edits of the first word."""
    async with client.http.get(f"/v1/jobs/{job_id}/transcript") as answer:
        word = (await answer.json())["segments"][0]["words"][0]["word"]
    edits = {"base_version": 0, "words": [{"segment": 0, "word": 0, "text": f"{word} {word}"}]}
    async with client.http.put(f"/v1/jobs/{job_id}/transcript/edits", json=edits) as answer:
        assert (await answer.json())["version"] == 1


async def _are_settled(client: Any) -> bool:
    """Return whether every delivery attempt is stored."""
    async with client.http.get("/v1/jobs") as answer:
        jobs = [job["job_id"] for job in (await answer.json())["jobs"]]
    attempts = []
    for job in jobs:
        async with client.http.get(f"/v1/jobs/{job}/webhook-attempts") as answer:
            attempts += (await answer.json())["attempts"]
    return all(attempt["status"] for attempt in attempts)


async def leave_unfinished_work(settings: IngestSettings) -> None:
    """Leave two queued jobs, an incomplete upload, a test event, a webhook endpoint and an API key."""
    async with serving(settings) as ingest:
        tus = Tus.to(ingest)
        path = await tus.created(100)
        assert (await tus.request("PATCH", path, speech_wav(1)[:40], Upload_Offset="0")).status == 204
        headers = {"Content-Type": "audio/wav", "Idempotency-Key": "once"}
        status, _ = await ingest.post(io.BytesIO(speech_wav(1)), params=OPTIONS, headers=headers)
        assert status == 202
        asking = {"Content-Type": "application/json"}
        assert (await ingest.post(msgspec.json.encode(REMOTE), headers=asking))[0] == 202
        assert (await ingest.post(b'{"url": "https://example.com/"}', "/v1/webhooks/test", headers=asking))[0] == 202
        endpoint = b'{"url": "https://example.com/"}'
        assert (await ingest.post(endpoint, "/v1/webhooks/endpoints", headers=asking))[0] == 201
    await new_key(settings, "acme")
