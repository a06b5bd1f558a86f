"""Real speech through both services and a chat provider on loopback: a job waits for what it was about."""

import asyncio
import io
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.support.acceptance.client import Client, Receiver, words_of
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.ingest.serving import until
from tests.support.providers.provider import in_turn
from tests.support.stack.launched import Launched
from tests.support.summaries.chat import KEY, Chat, by_request, completion, sensible, text_of
from tests.support.webhooks.endpoint import answering, stalling, status

ALL = {"summary": True, "chapters": True, "action_items": True}


async def test_a_job_has_its_summary_in_every_place(client: Client, receiver: Receiver, chat: Chat) -> None:
    chat.begin(by_request(sensible))
    plain_id = await client.submit(JFK.path, denoise=False)
    job_id = await client.submit(JFK.path, denoise=False, webhook_url=receiver.url, **ALL)

    job, event = await client.ended(job_id), await receiver.event()

    transcript = await client.transcript(job_id)
    assert (job["status"], job["warnings"], job["stage"]) == ("COMPLETED", [], "finish")
    assert event["data"]["made"] == ["summary", "chapters", "action_items"]
    assert (len(chat.received), transcript["summarized_by"]["prompt_tokens"]) == (1, 100)
    heard = text_of(chat.received[0])
    assert set(words_of(transcript["text"])) <= set(words_of(heard))
    words = [word for segment in transcript["segments"] for word in segment["words"]]
    assert transcript["chapters"][0]["start"] == words[0]["start"]
    assert transcript["chapters"][-1]["end"] == words[-1]["end"] <= transcript["duration"]
    assert transcript["action_items"][0]["owner"] == "Ann"
    await client.ended(plain_id)
    plain = await client.transcript(plain_id)
    assert {key: transcript[key] for key in plain} == plain
    assert set(transcript) - set(plain) == {*ALL, "summarized_by"}

    markdown, page = await client.text(job_id, "md"), await client.text(job_id, "html")
    assert [line for line in markdown.splitlines() if line.startswith("#")][1:] == [
        "## Summary",
        "## Chapters",
        "## Action items",
        "## Transcript",
    ]
    assert transcript["summary"] in page
    chapters = await client.text(job_id, "chapters")
    assert chapters.startswith("WEBVTT\n\n00:00:0")
    assert "Topic 1\n" in chapters
    assert "[CHAPTER]" in await client.text(job_id, "ffmetadata")
    async with client.http.get(f"/v1/jobs/{job_id}/transcript?format=docx") as answer:
        document = zipfile.ZipFile(io.BytesIO(await answer.read())).read("word/document.xml").decode()
    assert transcript["summary"] in document
    async with client.http.get(f"/v1/jobs/{job_id}/work") as answer:
        work: dict[str, Any] = await answer.json()
    assert [stage["name"] for stage in work["stages"]][-1] == "summarize"
    assert [(task["kind"], task["state"]) for task in work["tasks"]] == [("prepare", "done"), ("summarize", "done")]


async def test_a_long_file_is_summarized_after_its_last_chunk(client: Client, chat: Chat, tmp_path: Path) -> None:
    chat.begin(in_turn(answering(status(503)), by_request(sensible)))

    path = tmp_path / "long.wav"
    await asyncio.to_thread(write_long_audio, path, duration_s=60)
    job_id = await client.submit(path, denoise=False, summary=True)
    job = await client.ended(job_id)

    transcript = await client.transcript(job_id)
    assert (job["status"], job["warnings"]) == ("COMPLETED", [])
    assert transcript["summarized_by"]["requests"] == 2
    assert text_of(chat.received[1]).count("\n[") > 1  # lines


async def test_a_provider_that_stays_down_costs_only_a_warning(client: Client, receiver: Receiver, chat: Chat) -> None:
    chat.begin(answering(status(500, body=KEY.encode())))

    job_id = await client.submit(JFK.path, denoise=False, webhook_url=receiver.url, **ALL)
    job, event = await client.ended(job_id), await receiver.event()

    transcript = await client.transcript(job_id)
    assert (job["status"], job["error"], event["type"]) == ("COMPLETED", None, "job.completed")
    assert [warning["code"] for warning in job["warnings"]] == ["summary_unavailable"]
    assert transcript["warnings"] == job["warnings"]
    assert "made" not in event["data"]
    assert (transcript["summarized_by"]["requests"], "summary" in transcript) == (3, False)
    assert words_of(transcript["text"])
    assert len(chat.received) == 3  # by the waits of the stack
    assert KEY not in str((job, transcript, event))
    assert await client.text(job_id, "chapters") == "WEBVTT\n"


async def test_orders_in_an_answer_are_not_followed(client: Client, chat: Chat) -> None:
    orders = {"summary": "See ![x](http://169.254.169.254/) <script>alert(1)</script>", "tool_calls": [{"id": 1}]}
    chat.begin(by_request(lambda _: completion(orders)))

    job_id = await client.submit(JFK.path, denoise=False, summary=True)
    await client.ended(job_id)

    transcript = await client.transcript(job_id)
    assert transcript["summary"] == "See x alert(1)"
    assert "tool_calls" not in transcript
    assert "<script>alert" not in await client.text(job_id, "html")


@pytest.mark.parametrize("action", ["cancel", "erase"])
async def test_a_job_that_waits_for_a_provider_is_cancelled_and_erased_at_once(
    client: Client, chat: Chat, stack: Launched, database: asyncpg.Connection, action: str
) -> None:
    chat.begin(stalling())
    job_id = await client.submit(JFK.path, denoise=False, summary=True)
    await until(lambda: _is_asked(chat), timeout_s=60)

    job = await client.job(job_id)
    assert (job["status"], job["stage"]) == ("PROCESSING", "summarize")
    plain = await client.ended(await client.submit(JFK.path, denoise=False))  # the slots are free
    assert plain["status"] == "COMPLETED"
    if action == "cancel":
        async with client.http.post(f"/v1/jobs/{job_id}/cancel") as answer:
            assert answer.status == 200, await answer.text()
        assert (await client.ended(job_id))["status"] == "CANCELLED"
    else:
        async with client.http.delete(f"/v1/jobs/{job_id}") as answer:
            assert answer.status in {200, 204}, await answer.text()
        assert _files_of(stack, job_id) == []
    states = await database.fetch("SELECT state FROM tasks WHERE job_id = $1::uuid AND kind = 'summarize'", job_id)
    assert [row["state"] for row in states] == ["cancelled"]


def _files_of(stack: Launched, job_id: str) -> list[Path]:
    blobs = Path(stack.settings()["HEADRACE_STORAGE_URL"].removeprefix("file://"))
    return [path for path in blobs.rglob("*") if job_id in str(path) and path.is_file()]


async def _is_asked(chat: Chat) -> bool:
    return bool(chat.received)


async def test_a_summary_survives_the_death_of_its_processor(client: Client, chat: Chat, stack: Launched) -> None:
    chat.begin(stalling())
    job_id = await client.submit(JFK.path, denoise=False, summary=True)
    await until(lambda: _is_asked(chat), timeout_s=60)

    os.kill(stack.pids()["processor-0"], signal.SIGKILL)
    chat.begin(by_request(sensible))
    job = await client.ended(job_id)

    transcript = await client.transcript(job_id)
    assert (job["status"], job["warnings"], len(chat.received)) == ("COMPLETED", [], 1)
    assert transcript["summary"] == "A talk of 1 lines."


async def test_speakers_that_are_found_again_keep_the_summary(client: Client, chat: Chat) -> None:
    chat.begin(by_request(sensible))
    job_id = await client.submit(JFK.path, denoise=False, summary=True)
    await client.ended(job_id)
    before = await client.transcript(job_id)

    await client.diarize(job_id)
    job = await client.ended(job_id)

    after = await client.transcript(job_id)
    assert (job["status"], after["summary"], len(chat.received)) == ("COMPLETED", before["summary"], 1)


async def test_the_queue_of_summaries_is_empty_in_the_end(client: Client, stack: Launched, chat: Chat) -> None:
    chat.begin(by_request(sensible))
    jobs = [await client.submit(JFK.path, denoise=False, action_items=True) for _ in range(3)]
    ended = await asyncio.gather(*map(client.ended, jobs))
    assert [job["status"] for job in ended] == ["COMPLETED"] * 3
    async with Redis.from_url(stack.settings()["HEADRACE_REDIS_URL"]) as redis:
        assert await redis.zcard("arq:queue:summarize") == 0


async def test_options_are_checked_by_name(client: Client) -> None:
    code, problem = await client.try_submit(JFK.path, summary_language="de")
    assert (code, problem["code"]) == (400, "invalid_option")
    assert "`summary_language` needs `summary=true`" in problem["detail"]
    code, problem = await client.try_submit(JFK.path, summary=True, summary_language="xx")
    assert code == 400
    assert "`summary_language` must be one of Whisper's language codes" in problem["detail"]
    code, problem = await client.try_submit(JFK.path, chapters="maybe")
    assert code == 400
    assert "chapters" in problem["detail"]
