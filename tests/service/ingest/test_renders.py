"""Renders of long transcripts: in processes, few at a time, shared, cached; uploads do not wait for them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args
from uuid import UUID

import msgspec
import pytest

from ingest_service.errors import LimitError
from ingest_service.jobs.renders import INLINE_BYTES, RETRY_S, WAITING_OF_TENANT, RenderKey, Renders, TextCache
from shared.blobs import blob_keys
from shared.blobs.blob_facts import BlobVersion
from shared.blobs.blob_store import BlobStore
from shared.formats.render import render
from shared.formats.style import TITLED, TextFormat
from shared.schemas.transcript import Segment, Transcript, Word
from shared.subtitles.cue_size import CueSize
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav

pytestmark = pytest.mark.process

DAY_OF_WORDS = 200_000


def transcript(words: int, text: str = "word") -> Transcript:
    """Speech without a pause, in sentences of ten words."""
    segments = []
    for first in range(0, words, 10):
        said = tuple(
            Word(word=f"{text}.", start=number * 0.4, end=number * 0.4 + 0.4, confidence=0.9)
            for number in range(first, first + 10)
        )
        segments.append(
            Segment(
                id=first // 10,
                start=said[0].start,
                end=said[-1].end,
                text=" ".join(word.word for word in said),
                speaker="SPEAKER_00",
                confidence=0.9,
                no_speech_prob=0.0,
                words=said,
            )
        )
    whole = " ".join(segment.text for segment in segments)
    return Transcript(text=whole, language="en", duration=words * 0.4, segments=tuple(segments))


async def completed(ingest: Ingest, content: Transcript) -> str:
    job_id = await ingest.submit(wav())
    await records.complete(ingest, job_id)
    await ingest.blobs.put(blob_keys.transcript(UUID(job_id), 1), msgspec.json.encode(content))
    return job_id


async def text_of(ingest: Ingest, job_id: str, **query: str) -> tuple[int, str]:
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/transcript", params=query) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(("words", "text"), [(20, "word"), (2000, "word"), (10, "我们今天去公园散步")])
async def test_short_and_long_transcripts_have_the_same_text(ingest: Ingest, words: int, text: str) -> None:
    content = transcript(words, text)
    assert (len(msgspec.json.encode(content)) > INLINE_BYTES) is (words == 2000)
    job_id = await completed(ingest, content)
    for name in get_args(TextFormat):
        if name in TITLED:
            continue  # they name the recording
        expected = render(content, name, size=CueSize(max_chars=30), job_id=job_id)
        assert await text_of(ingest, job_id, format=name, max_chars="30") == (200, expected)
    status, body = await text_of(ingest, job_id)
    assert (status, msgspec.json.decode(body, type=Transcript)) == (200, content)


async def test_an_upload_does_not_wait_for_sixteen_renders_of_a_day(ingest: Ingest) -> None:
    """The renders are still running when the uploads are answered."""
    job_id = await completed(ingest, transcript(DAY_OF_WORDS))
    reading = [
        asyncio.create_task(text_of(ingest, job_id, format="srt", max_chars=str(30 + number))) for number in range(16)
    ]
    await until(has_child)
    for _ in range(10):
        await ingest.submit(wav())
        assert len(children()) == 1  # all are of one tenant
    assert not any(task.done() for task in reading)
    ingest.stopping.set()  # ends them
    assert {status for status, _ in await asyncio.gather(*reading)} == {429}
    assert not children()


def children() -> list[str]:
    """The renders that this process started."""
    started = [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]
    return [child for child in started if "ingest_service.formats" in command_of(child)]


def command_of(process_id: str) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_text()
    except OSError:  # it has ended
        return ""


async def has_child() -> bool:
    return bool(children())


async def test_a_process_that_fails_is_a_500_and_frees_its_slot(ingest: Ingest) -> None:
    job_id = await completed(ingest, transcript(2000))
    await ingest.blobs.put(blob_keys.transcript(UUID(job_id), 1), b"{" * 2 * INLINE_BYTES)
    for _ in range(3):
        status, problem = await ingest.get(f"/v1/jobs/{job_id}/transcript?format=srt")
        assert (status, problem["code"]) == (500, "internal")
    assert await text_of(ingest, await completed(ingest, transcript(2000)), format="txt")


class Gated(BlobStore):
    """A store whose reads wait for the gate."""

    def __init__(self, storage_url: str) -> None:
        super().__init__(storage_url)
        self.gate = asyncio.Event()
        self.reading: list[str] = []

    async def read(self, key: str, start: int, end: int, *, piece_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
        self.reading.append(key)
        await self.gate.wait()
        async for piece in super().read(key, start, end, piece_bytes=piece_bytes):
            yield piece


async def stored(blobs: BlobStore, name: str) -> BlobVersion:
    await blobs.put(name, msgspec.json.encode(transcript(1000)))
    return await blobs.version(name)


def key(blob: BlobVersion, max_chars: int = 42) -> RenderKey:
    return RenderKey(blob, "job", "srt", CueSize(max_chars=max_chars))


async def test_a_tenant_has_one_render_at_a_time_and_does_not_delay_another(storage_url: str) -> None:
    blobs = Gated(storage_url)
    first, second = await stored(blobs, "first"), await stored(blobs, "second")
    async with Renders.opened(blobs, asyncio.Event(), at_once=2, cache_bytes=1 << 20) as renders:
        mine = [asyncio.create_task(renders.get("one", key(first, 30 + number))) for number in range(5)]
        same = [asyncio.create_task(renders.get("one", key(first, 30))) for _ in range(50)]
        theirs = asyncio.create_task(renders.get("two", key(second)))

        async def both_read() -> bool:
            return len(blobs.reading) >= 2

        await until(both_read)
        assert sorted(blobs.reading) == ["first", "second"]
        blobs.gate.set()
        texts = await asyncio.gather(*mine, *same, theirs)
        assert blobs.reading.count("first") == 5  # requests for the same text share a render
        assert set(texts[5:55]) == {texts[0]}
        assert await renders.get("one", key(first, 31)) == texts[1]
        assert len(blobs.reading) == 6  # cached
        await stored(blobs, "first")
        assert await renders.get("one", key(await blobs.version("first"), 31)) == texts[1]
        assert len(blobs.reading) == 7  # replaced
    assert not children()


async def test_the_renders_that_a_tenant_waits_for_are_bounded(storage_url: str) -> None:
    blobs = Gated(storage_url)
    blob, other = await stored(blobs, "blob"), await stored(blobs, "other")
    async with Renders.opened(blobs, asyncio.Event(), at_once=2, cache_bytes=0) as renders:
        waiting = [
            asyncio.create_task(renders.get("one", key(blob, 30 + number))) for number in range(WAITING_OF_TENANT)
        ]
        theirs = asyncio.create_task(renders.get("two", key(other)))
        await asyncio.sleep(0)
        with pytest.raises(LimitError) as refusal:
            await renders.get("one", key(blob, 100))
        assert (refusal.value.code, refusal.value.retry_after_s) == ("too_many_renders", RETRY_S)
        waiting.append(asyncio.create_task(renders.get("one", key(blob, 30))))  # joins a render
        for task in waiting[1:]:
            task.cancel()
        blobs.gate.set()
        assert (await waiting[0]).startswith(b"1\n")
        assert await theirs
    assert not children()


async def test_the_cache_is_bounded_and_forgets_what_was_not_used(storage_url: str) -> None:
    blobs = BlobStore(storage_url)
    blob, cache = await stored(blobs, "blob"), TextCache(100)
    keys = [key(blob, 30 + number) for number in range(4)]
    for each in keys[:3]:
        cache.keep(each, b"x" * 30)
    assert cache.find(keys[0])
    cache.keep(keys[3], b"x" * 40)
    assert [bool(cache.find(each)) for each in keys] == [True, False, True, True]
    assert cache.bytes == 100
    cache.keep(key(blob, 50), b"x" * 101)
    assert (cache.find(key(blob, 50)), cache.bytes) == (None, 0)
