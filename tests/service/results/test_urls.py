"""Results to presigned URLs: sent by PUT, attempted again after what may pass, and never through the guard."""

import logging
from collections.abc import Sequence

import asyncpg
import msgspec
import pytest

from processor_service.results import render
from processor_service.results.write import AT_ONCE
from processor_service.tasks.outcomes import JobDone
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.job_changes import erase_content
from shared.schemas.transcript import Transcript
from tests.service.processor.conftest import Claim, Submit
from tests.service.results.conftest import TRANSCRIPT, Complete, Opened, Write, rows_of
from tests.support.webhooks.endpoint import Endpoint, Script, answering, stalling, status

POLICY = RetryPolicy(waits_s=(), longest_retry_after_s=0)
OK = answering(status(200))
SRT = b"1\n00:00:00,500 --> 00:00:01,500\nHello there.\n"


def in_turn(*scripts: Script) -> Script:
    """The n-th request runs the n-th script; all later ones the last."""
    left = list(scripts)

    async def script(*arguments: object) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(*arguments)  # type: ignore[arg-type] # of a script

    return script


def urls(endpoint: Endpoint, *formats: str) -> dict[str, str]:
    return {name: f"{endpoint.url}/{name}?X-Amz-Signature=s3cret" for name in formats}


async def test_each_format_is_sent_to_its_url(
    complete: Complete, write: Write, database: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Endpoint(OK).listening() as endpoint:
        job_id = await complete(urls(endpoint, "json", "srt", "vtt", "txt"))
        await write()

    sent = {one.target: one for one in endpoint.received}
    assert set(sent) == {f"/hook/{name}?X-Amz-Signature=s3cret" for name in ("json", "srt", "vtt", "txt")}
    srt = sent["/hook/srt?X-Amz-Signature=s3cret"]
    assert (srt.body, srt.headers["content-type"]) == (SRT, "application/x-subrip; charset=utf-8")
    body = sent["/hook/json?X-Amz-Signature=s3cret"].body
    assert msgspec.json.decode(body, type=Transcript) == TRANSCRIPT
    assert sent["/hook/txt?X-Amz-Signature=s3cret"].body == b"Hello there.\n"
    rows = await rows_of(database, job_id)
    for row in rows.values():
        assert (row["state"], row["attempts"], row["error"], row["due_at"]) == ("written", 1, None, None)
        assert (row["target"], row["shown"]) == (None, "127.0.0.1")  # a signature that was used is not kept
    assert "s3cret" not in caplog.text


async def test_an_endpoint_that_fails_twice_gets_the_same_content_again(
    complete: Complete, write: Write, database: asyncpg.Pool
) -> None:
    script = in_turn(answering(status(503)), answering(b"garbage"), OK)
    async with Endpoint(script).listening() as endpoint:
        job_id = await complete(urls(endpoint, "srt"))
        for attempts, state in ((1, "waiting"), (2, "waiting"), (3, "written")):
            await write()
            row = (await rows_of(database, job_id))["srt"]
            assert (row["attempts"], row["state"], row["error"] is None) == (attempts, state, state == "written")
    assert [one.body for one in endpoint.received] == [SRT] * 3


async def test_the_waits_are_those_of_tasks_and_then_it_is_final(
    complete: Complete, write: Write, database: asyncpg.Pool
) -> None:
    waits = "SELECT extract(epoch FROM due_at - now())::float8 FROM result_writes"
    async with Endpoint(answering(status(500))).listening() as endpoint:
        job_id = await complete(urls(endpoint, "json"))
        for least_s in (10, 20, 40):
            await write()
            assert least_s - 5 < await database.fetchval(waits) < least_s * 1.2
        await write()
    row = (await rows_of(database, job_id))["json"]
    assert (row["state"], row["attempts"], row["due_at"]) == ("failed", 4, None)
    assert row["error"] == "The server of the presigned URL answered 500."
    assert (await database.fetchval("SELECT status FROM jobs")) == "COMPLETED"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(413), "answered 413"),
        (status(403), "answered 403"),
        (status(302, "location: http://127.0.0.1:1/"), "answered 302"),
        (status(307, "location: /elsewhere"), "answered 307"),
    ],
)
async def test_answers_that_are_final(
    complete: Complete, write: Write, database: asyncpg.Pool, answer: bytes, said: str
) -> None:
    """A redirect is not followed: the signature is for one URL."""
    async with Endpoint(answering(answer)).listening() as endpoint:
        job_id = await complete(urls(endpoint, "json"))
        await write()
    row = (await rows_of(database, job_id))["json"]
    assert (row["state"], row["attempts"], endpoint.hits) == ("failed", 1, 1)
    assert said in row["error"]
    assert "s3cret" not in row["error"]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://10.0.0.1/x",
            "http://169.254.169.254/latest/",
            "http://[fd00:ec2::254]/",
            "http://192.168.1.1:9000/x",
        ),
        *("http://metadata.google.internal./x", "http://[::ffff:10.0.0.1]/", "http://0.0.0.0/"),
    ],
)
async def test_internal_addresses_are_refused(
    complete: Complete, write: Write, database: asyncpg.Pool, url: str
) -> None:
    job_id = await complete({"json": f"{url}?s3cret"})
    await write()
    row = (await rows_of(database, job_id))["json"]
    assert row["attempts"] == 1
    assert row["state"] == "failed" or "could not be resolved" in row["error"]
    assert "s3cret" not in row["error"]


async def test_loopback_is_refused_unless_a_setting_allows_it(
    complete: Complete, write: Write, database: asyncpg.Pool
) -> None:
    async with Endpoint(OK).listening() as endpoint:
        job_id = await complete(urls(endpoint, "json"))
        await write(webhook_allow_private="false")
    row = (await rows_of(database, job_id))["json"]
    assert (row["state"], row["error"]) == ("failed", "The target is refused: its host is at a loopback address.")
    assert endpoint.hits == 0


async def test_a_slow_target_does_not_delay_another_tenants(
    complete: Complete, opened: Opened, database: asyncpg.Pool
) -> None:
    async with Endpoint(stalling()).listening() as slow, Endpoint(OK).listening() as quick, opened() as writer:
        for _ in range(AT_ONCE + 4):
            await complete(urls(slow, "json"), tenant="slow")
        other = await complete(dict.fromkeys(["json"], quick.url.replace("127.0.0.1", "localhost")), tenant="quick")
        async with database.acquire() as connection:
            await writer(connection)
        await writer._writing[other, "json"]
        assert (await rows_of(database, other))["json"]["state"] == "written"
        assert len(writer._writing) < AT_ONCE


async def test_a_lost_process_is_replaced_after_its_claim(
    complete: Complete, write: Write, opened: Opened, database: asyncpg.Pool
) -> None:
    """Whatever it wrote, the next one writes the same again, and its late result changes nothing."""
    async with Endpoint(in_turn(stalling(), OK)).listening() as endpoint:
        job_id = await complete(urls(endpoint, "srt"))
        async with opened() as lost, database.acquire() as connection:
            await lost(connection)
            while not endpoint.received:
                assert lost._writing
                await database.fetchval("SELECT pg_sleep(0.01)")
            await lost(connection)  # it is claimed: nothing is due
            assert len(lost._writing) == 1
        await write()
    assert [one.body for one in endpoint.received] == [SRT] * 2
    assert (await rows_of(database, job_id))["srt"]["attempts"] == 2


async def test_a_long_transcript_is_rendered_in_a_process(
    complete: Complete, write: Write, database: asyncpg.Pool
) -> None:
    text = "words " * render.INLINE_BYTES
    async with Endpoint(OK).listening() as endpoint:
        job_id = await complete(urls(endpoint, "json", "docx"), text=text)
        await write()
    sent = {one.target[6:10]: one.body for one in endpoint.received}
    assert msgspec.json.decode(sent["json"], type=Transcript).text == text
    assert sent["docx"].startswith(b"PK")
    assert {row["state"] for row in (await rows_of(database, job_id)).values()} == {"written"}


async def test_a_transcript_that_is_gone_is_a_failure(
    complete: Complete, write: Write, database: asyncpg.Pool, blobs: BlobStore
) -> None:
    job_id = await complete({"json": "http://127.0.0.1:1/"})
    await blobs.delete_keys([blob_keys.transcript(job_id, 1)])
    await write()
    row = (await rows_of(database, job_id))["json"]
    assert (row["state"], row["error"]) == ("failed", "The transcript is no longer stored.")


async def _statements(pool: asyncpg.Pool, *statements: Sequence[object]) -> None:
    for statement in statements:
        await pool.execute(*statement)


async def test_the_statement_that_completes_a_job_makes_its_results_due(
    submit: Submit, claim_task: Claim, opened: Opened, database: asyncpg.Pool, blobs: BlobStore
) -> None:
    """The processor that completed it begins at once. A job without `results_to` has no row, and none is looked for."""
    plain, wanted = await submit(), await submit()
    job_id = await database.fetchval("SELECT job_id FROM tasks WHERE id = $1", wanted)
    async with Endpoint(OK).listening() as endpoint:
        await _statements(
            database,
            ("UPDATE jobs SET options = '{\"results_formats\":\"srt\"}' WHERE id = $1", job_id),
            ("INSERT INTO result_writes (job_id, format, tenant, target, shown) VALUES ($1, 'srt', 'default', $2, '')",
             job_id, endpoint.url),
        )  # fmt: skip
        await blobs.put(blob_keys.transcript(job_id, 1), msgspec.json.encode(TRANSCRIPT))
        for task_id in (plain, wanted):
            await settle(database, await claim_task(task_id), JobDone(()), policy=POLICY)
        assert await database.fetchval("SELECT count(*) FROM result_writes WHERE due_at <= now()") == 1
        async with opened() as writer:
            writer.begin(job_id)
            await writer.settled()
    assert (await rows_of(database, job_id))["srt"]["state"] == "written"
    assert len(endpoint.received) == 1


async def test_erasing_a_job_erases_its_targets(complete: Complete, write: Write, database: asyncpg.Pool) -> None:
    job_id = await complete({"json": "http://127.0.0.1:1/?s3cret"})
    async with database.acquire() as connection, connection.transaction():
        await erase_content(connection, {job_id: '{"results_formats":"json"}'})
    await write()
    assert await rows_of(database, job_id) == {}
