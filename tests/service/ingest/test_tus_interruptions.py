"""Uploads whose connections break, stall or are replaced: bytes that arrived count, and the client continues."""

import asyncio
import socket
import struct

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from ingest_service.tus import parts as receive_parts
from ingest_service.tus import upload_leases
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus, assert_is_job, checksum, half_sent, parts_left

AUDIO = wav(200_000)


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.uploads.body.WINDOW_S", 0.4)
    monkeypatch.setattr("ingest_service.middleware.lingering_close.IDLE_WINDOW_S", 0.2)


async def until_received(ingest: Ingest) -> None:
    """The open request's first part is being written."""

    async def is_written() -> bool:
        return bool(parts_left(ingest))

    await until(is_written)


async def until_stored(ingest: Ingest, offset: int) -> None:
    """Reads the database: a HEAD would stop the open request."""

    async def is_stored() -> bool:
        (row,) = await ingest.sql("SELECT offset_bytes FROM uploads")
        return bool(row["offset_bytes"] == offset)

    await until(is_stored)


@pytest.mark.parametrize("by_reset", [False, True])
async def test_bytes_before_a_broken_connection_count(ingest: Ingest, by_reset: bool) -> None:  # noqa: FBT001
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]) as writer:
        await until_received(ingest)
        if by_reset:
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await until_stored(ingest, 70_000)
    await assert_is_job(ingest, await tus.patch(path, 70_000, AUDIO[70_000:]), AUDIO)


@pytest.mark.usefixtures("short_timeouts")
async def test_bytes_before_a_stall_count(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]) as writer:
        answer = await asyncio.wait_for(writer.reader.read(), 20)  # type: ignore[attr-defined]
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert (await tus.head(path)).offset == 70_000
    await assert_is_job(ingest, await tus.patch(path, 70_000, AUDIO[70_000:]), AUDIO)


async def test_head_stops_a_half_open_request_and_its_bytes_count(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]) as writer:
        await until_received(ingest)
        assert (await tus.head(path)).offset == 70_000
        answer = await writer.reader.readline()  # type: ignore[attr-defined]
        assert b" 409 " in answer
        await assert_is_job(ingest, await tus.patch(path, 70_000, AUDIO[70_000:]), AUDIO)


async def test_terminating_stops_a_request_that_appends(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]):
        await until_received(ingest)
        assert (await tus.request("DELETE", path)).status == 204
    assert (await tus.head(path)).status == 410
    assert parts_left(ingest) == []


@pytest.mark.parametrize("offset", [0, 70_000])
async def test_a_newer_patch_stops_an_older_one_and_they_do_not_mix(ingest: Ingest, offset: int) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]):
        await until_received(ingest)
        answer = await tus.patch(path, offset, AUDIO[offset:])
    if offset == 0:  # the older request's bytes have moved the offset
        assert (answer.status, answer.code) == (409, "upload_offset_mismatch")
        answer = await tus.patch(path, 70_000, AUDIO[70_000:])
    await assert_is_job(ingest, answer, AUDIO)


async def test_concurrent_requests_make_one_upload(ingest: Ingest) -> None:
    """Whichever request wins, the stored bytes are contiguous."""
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    offset = 0
    while offset < len(AUDIO):
        piece = AUDIO[offset : offset + 70_000]
        answers = await asyncio.gather(*(tus.patch(path, offset, piece) for _ in range(4)))
        assert {answer.status for answer in answers} <= {204, 409}, [answer.code for answer in answers]
        before, offset = offset, (await tus.head(path)).offset
        assert before < offset <= before + len(piece)
    await assert_is_job(ingest, await tus.head(path), AUDIO)


async def test_an_upload_whose_holder_does_not_stop_is_locked(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder, in another process, cannot stop now."""
    monkeypatch.setattr(upload_leases, "WAIT_S", 0.2)
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    await ingest.sql("UPDATE uploads SET lease_token = 7, lease_expires_at = now() + interval '1 h'")
    assert (await tus.head(path)).status == 423
    answer = await tus.patch(path, 0, AUDIO)
    assert (answer.status, answer.code) == (423, "upload_locked")
    (row,) = await ingest.sql("SELECT wanted FROM uploads")
    assert row["wanted"]
    await ingest.sql("UPDATE uploads SET lease_expires_at = now()")
    await assert_is_job(ingest, await tus.patch(path, 0, AUDIO), AUDIO)


async def test_a_request_in_another_process_stops_the_holder(settings: IngestSettings) -> None:
    async with serving(settings) as one, serving(settings) as other:
        tus = Tus.to(one)
        path = await tus.created(len(AUDIO))
        async with half_sent(one.url, path, 0, len(AUDIO), AUDIO[:70_000]):
            await until_received(one)
            assert (await Tus.to(other).head(path)).offset == 70_000
            await assert_is_job(one, await Tus.to(other).patch(path, 70_000, AUDIO[70_000:]), AUDIO)


async def test_a_stale_lease_token_is_rejected(ingest: Ingest) -> None:
    """As after a freeze of more than a lease."""
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), b"?" * 5000):
        await until_received(ingest)
        await ingest.sql("UPDATE uploads SET lease_token = lease_token + 1, lease_expires_at = NULL")
        answer = await tus.patch(path, 0, AUDIO[:70_000])
        assert answer.offset == 70_000
    await assert_is_job(ingest, await tus.patch(path, 70_000, AUDIO[70_000:]), AUDIO)


async def test_bytes_of_a_slow_client_count_while_it_sends(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This bounds the loss of a killed process to seconds."""
    monkeypatch.setattr(receive_parts, "PART_S", 0.0)
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    async with half_sent(ingest.url, path, 0, len(AUDIO), AUDIO[:70_000]):
        await until_stored(ingest, 70_000)
    assert (await tus.head(path)).offset == 70_000


async def test_a_large_body_is_stored_in_parts(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_parts, "PART_BYTES", 30_000)
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    assert (await tus.patch(path, 0, AUDIO[:199_000])).offset == 199_000
    parts = await ingest.sql("SELECT * FROM upload_parts ORDER BY offset_bytes")
    assert len(parts) > 1
    assert [row["offset_bytes"] for row in parts[1:]] == [row["offset_bytes"] + row["bytes"] for row in parts[:-1]]
    await assert_is_job(ingest, await tus.patch(path, 199_000, AUDIO[199_000:]), AUDIO)


async def test_an_incomplete_body_with_a_checksum_does_not_count(ingest: Ingest) -> None:
    """It cannot be verified."""
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))

    async def half() -> object:
        yield AUDIO[:70_000]
        await until_received(ingest)
        raise ConnectionAbortedError

    with pytest.raises(aiohttp.ClientConnectionError):
        await tus.patch(path, 0, half(), Upload_Checksum=checksum("sha1", AUDIO))
    assert (await tus.head(path)).offset == 0
    assert parts_left(ingest) == []


async def test_a_client_that_disconnects_during_creation_leaves_no_upload(ingest: Ingest) -> None:
    tus = Tus.to(ingest)

    async def half() -> object:
        yield AUDIO[:70_000]
        await until_received(ingest)
        raise ConnectionAbortedError

    with pytest.raises(aiohttp.ClientConnectionError):
        await tus.create(len(AUDIO), half())

    async def nothing_is_left() -> bool:
        return not parts_left(ingest) and not await ingest.sql("SELECT 1 FROM uploads WHERE ended_at IS NULL")

    await until(nothing_is_left)
