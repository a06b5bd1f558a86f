"""`Idempotency-Key`: repeats create one job, in any process and after crashes."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.process import running
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import MIB, wav

KEY = {"Idempotency-Key": "order-4711", "Content-Type": "audio/wav"}
LATER = "UPDATE idempotency_keys SET expires_at = expires_at - interval '24 h'"


def form(audio: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    data.add_field("audio_file", audio, filename="talk.wav")
    return data


async def submit(ingest: Ingest, audio: bytes = wav(), key: str = "order-4711", **query: str) -> tuple[int, Any]:
    headers = {"Idempotency-Key": key, "Content-Type": "audio/wav"}
    return await ingest.post(io.BytesIO(audio), headers=headers, params=query)


async def assert_one_job(ingest: Ingest) -> None:
    assert len(ingest.stored_files()) == 1
    assert await ingest.job_count() == 1
    assert len(await ingest.sql("SELECT 1 FROM tasks")) == 1


async def test_a_repeat_gets_the_same_answer_and_creates_nothing(ingest: Ingest) -> None:
    first = await submit(ingest, language="en")
    assert first[0] == 202
    for _ in range(3):
        async with ingest.client.post(
            ingest.url + "/v1/jobs", data=wav(), headers=KEY, params={"language": "en"}
        ) as answer:
            assert (answer.status, await answer.json()) == first
            assert answer.headers["Location"] == f"/v1/jobs/{first[1]['job_id']}"
    await assert_one_job(ingest)


async def test_a_repeat_may_use_another_method_and_file_name(ingest: Ingest) -> None:
    first = await submit(ingest, denoise="false", metadata='{"a": 1, "b": [2]}')
    header = {"Idempotency-Key": KEY["Idempotency-Key"]}
    data = form(wav(), options='{"metadata": {"b": [2], "a": 1}, "denoise": false}')
    assert await ingest.post(data, path="/api/upload-audio", headers=header) == first
    await assert_one_job(ingest)


@pytest.mark.parametrize(
    ("audio", "query"),
    [(wav(1000), {}), (wav(), {"language": "en"}), (wav(), {"metadata": "1"}), (wav(), {"webhook_url": "http://a.b/"})],
)
async def test_a_different_request_with_the_same_key_is_refused(
    ingest: Ingest, audio: bytes, query: dict[str, str]
) -> None:
    assert (await submit(ingest))[0] == 202
    status, problem = await submit(ingest, audio, **query)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")
    await assert_one_job(ingest)


async def test_different_keys_create_different_jobs(ingest: Ingest) -> None:
    jobs = {(await submit(ingest, key=key))[1]["job_id"] for key in ("a", "A", '"a"', "~" * 255)}
    assert len(jobs) == 4


@pytest.mark.parametrize("key", ["", " ", "a b", "~" * 256, "schlüssel", "a\tb"])
async def test_a_malformed_key_is_refused(ingest: Ingest, key: str) -> None:
    status, problem = await submit(ingest, key=key)
    assert (status, problem["code"]) == (400, "invalid_idempotency_key")
    await ingest.assert_nothing_is_left()


async def test_two_keys_are_refused(ingest: Ingest) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Content-Type", "audio/wav")]
    status, problem = await ingest.post(wav(), headers=headers)
    assert (status, problem["code"]) == (400, "invalid_idempotency_key")


class Slow:
    """An upload that pauses in its middle until `finish` is set."""

    def __init__(self, ingest: Ingest, audio: bytes = wav()) -> None:
        self.go_on = asyncio.Event()
        self._audio = audio
        self.sending = asyncio.create_task(ingest.post(self._pieces(), headers=KEY))

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._audio[:10_000]
        await self.go_on.wait()
        yield self._audio[10_000:]

    async def answer(self) -> tuple[int, Any]:
        self.go_on.set()
        return await self.sending


async def claimed(ingest: Ingest) -> Slow:
    """A slow upload whose key is claimed."""
    slow = Slow(ingest)

    async def it_is() -> bool:
        return bool(await ingest.sql("SELECT 1 FROM idempotency_keys"))

    await until(it_is)
    return slow


async def test_a_repeat_during_the_first_request_gets_a_409_in_any_process(
    settings: IngestSettings,
) -> None:
    async with serving(settings) as one, serving(settings) as other:
        slow = await claimed(one)
        for ingest in (one, other):
            status, problem = await submit(ingest)
            assert (status, problem["code"]) == (409, "idempotency_in_progress")
        first = await slow.answer()
        assert first[0] == 202
        assert await submit(other) == first
        await assert_one_job(one)


async def test_concurrent_repeats_create_one_job(settings: IngestSettings) -> None:
    async with serving(settings) as one, serving(settings) as other:
        answers = await asyncio.gather(*(submit(ingest) for ingest in (one, other) * 20))
        made = {body["job_id"] for status, body in answers if status == 202}
        assert {status for status, _ in answers} <= {202, 409}
        assert len(made) == 1
        await assert_one_job(one)


@pytest.mark.parametrize(("audio", "query"), [(b"<html>" * 2000, {}), (wav(), {"language": "klingon"}), (b"", {})])
async def test_a_refused_request_releases_its_key(ingest: Ingest, audio: bytes, query: dict[str, str]) -> None:
    assert (await submit(ingest, audio, **query))[0] in {400, 415}
    assert await ingest.sql("SELECT * FROM idempotency_keys") == []
    assert (await submit(ingest))[0] == 202


async def test_a_disconnected_client_releases_its_key(ingest: Ingest) -> None:
    _, writer = await asyncio.open_connection(*ingest.address)
    fields = {**KEY, "Host": "x", "Content-Length": "999999"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST /v1/jobs HTTP/1.1\r\n{head}\r\n".encode() + wav(20_000))
    await until(lambda: ingest.sql("SELECT 1 FROM idempotency_keys"))
    writer.transport.abort()

    async def it_is_given_back() -> bool:
        return not await ingest.sql("SELECT 1 FROM idempotency_keys")

    await until(it_is_given_back)
    assert (await submit(ingest))[0] == 202


async def test_a_claim_that_was_taken_over_creates_nothing(ingest: Ingest) -> None:
    """Its process froze for longer than a claim is valid."""
    slow = await claimed(ingest)
    await ingest.sql(LATER)
    assert (await submit(ingest))[0] == 202
    status, problem = await slow.answer()
    assert (status, problem["code"]) == (409, "idempotency_in_progress")
    await assert_one_job(ingest)


async def test_a_claim_is_renewed_during_its_request(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.uploads.idempotency.RENEWALS_PER_CLAIM", 2000)
    slow = await claimed(ingest)
    await ingest.sql(LATER)

    async def it_holds_again() -> bool:
        return bool(await ingest.sql("SELECT 1 FROM idempotency_keys WHERE expires_at > now()"))

    await until(it_holds_again)
    assert (await submit(ingest))[0] == 409
    assert (await slow.answer())[0] == 202


@pytest.mark.parametrize(
    ("failpoint", "blobs_left"), [("upload.after_blob", 1), ("submit.before_commit", 1), ("submit.after_commit", 0)]
)
async def test_a_repeat_after_a_crash_completes_the_job_or_finds_it(
    settings: IngestSettings, tmp_path: Any, failpoint: str, blobs_left: int
) -> None:
    """A repeat creates the job or finds it. Maintenance deletes the orphaned blob."""
    armed = msgspec.structs.replace(settings, failpoints=str(tmp_path))
    async with running(armed) as (process, url), serving(settings) as other, aiohttp.ClientSession() as client:
        (tmp_path / failpoint).write_text("kill")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(url + "/v1/jobs", data=wav(), headers=KEY)
        await process.wait()

        async def its_transaction_is_over() -> bool:
            held = (
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            )
            return not await other.sql(held)

        await until(its_transaction_is_over)
        was_made = await other.job_count()
        if not was_made:
            assert (await submit(other))[0] == 409
            await other.sql("UPDATE idempotency_keys SET expires_at = now() - interval '1 s'")  # as after a minute
        status, body = await submit(other)
        assert status == 202
        (job,) = await other.sql("SELECT id FROM jobs")
        assert str(job["id"]) == body["job_id"]
        assert was_made == (failpoint == "submit.after_commit")
        assert len(other.stored_files()) == 1 + blobs_left


async def test_an_answer_expires(ingest: Ingest) -> None:
    first = (await submit(ingest))[1]["job_id"]
    (row,) = await ingest.sql("SELECT expires_at - now() AS kept FROM idempotency_keys")
    assert 23.9 < row["kept"].total_seconds() / 3600 <= 24
    await ingest.sql(LATER)
    status, body = await submit(ingest, wav(1000))
    assert status == 202
    assert body["job_id"] != first


async def test_each_tenant_has_its_own_idempotency_keys(ingest: Ingest) -> None:
    await submit(ingest)
    await ingest.sql("UPDATE idempotency_keys SET tenant = 'other'")
    assert (await submit(ingest, wav(1000)))[0] == 202


async def test_a_large_upload_may_be_repeated(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        first = await submit(ingest, wav(20 * MIB))
        assert await submit(ingest, wav(20 * MIB)) == first
        await assert_one_job(ingest)


async def test_a_url_with_a_key_creates_one_job(ingest: Ingest) -> None:
    async def post(url: str) -> tuple[int, Any]:
        body = msgspec.json.encode({"audio_url": url})
        return await ingest.post(body, headers=KEY | {"Content-Type": "application/json"})

    first = await post("https://example.com/a.wav")
    assert first[0] == 202
    assert await post("https://example.com/a.wav") == first
    assert (await post("https://example.com/b.wav"))[0] == 422
    assert (await submit(ingest))[0] == 422
    assert await ingest.job_count() == 1
