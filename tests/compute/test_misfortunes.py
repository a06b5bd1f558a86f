"""Whatever befalls a compute child befalls it alone: it dies, all of it, and another takes its place. Real children."""

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest

from processor_service.compute.child_process import ComputeChild
from processor_service.compute.messages import ChunkProcessed, Joined, Progress, Reply, Warm
from processor_service.compute.resource_limits import Patience
from processor_service.errors import ChildCrashError, TransientError
from tests.compute.conftest import LONG, MEMORY_BYTES, Model, Pool, files, group
from tests.stack.launched import until

pytestmark = pytest.mark.process

FATAL = {
    "CRASH": "SIGSEGV",
    "OOM": "ran out of the memory it may use",
    "FLOOD": "wrote a larger file than it may",
    "CHATTER": "said more than any sound child says",
    "GARBAGE": "said more than any sound child says",
}
STACK_BYTES = 8 << 20  # does not count as data


@pytest.mark.parametrize("misfortune", FATAL)
async def test_a_misfortune_ends_the_child_and_what_it_started_and_nobody_else(
    started: Pool, model: Model, scratch: Path, misfortune: str
) -> None:
    async with started(slots=2) as pool:
        async with pool.slot() as slot, pool.slot() as bystander:
            doomed, spared = slot.child.pid, bystander.child.pid
            other = model.asked(bystander, "SLOW 0.5")

            with pytest.raises(ChildCrashError, match=FATAL[misfortune]):
                await model.text(slot, f"SPAWN {misfortune}")

            await until(lambda: not group(doomed))
            assert await other == "tick tick"
            assert bystander.child.pid == spared
        async with pool.slot() as one, pool.slot() as another:
            assert await model.text(one) == await model.text(another) == "tick tick"
            assert spared in {one.child.pid, another.child.pid}
            assert len(files(scratch)) == 2  # nothing is left of the files of the one that died


@pytest.mark.parametrize("misfortune", ["HANG", "SPIN"])
async def test_an_endless_loop_is_killed_when_its_time_is_up_and_says_where_it_was(
    started: Pool, model: Model, misfortune: str
) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            doomed = slot.child.pid
            with pytest.raises(ChildCrashError, match="took longer than 1 s and was killed") as crash:
                await model.text(slot, f"SPAWN {misfortune}", Patience(1.0))
            assert misfortune.lower() in str(crash.value)
            await until(lambda: not group(doomed))
        async with pool.slot() as slot:
            assert await model.text(slot) == "tick tick"


async def test_the_time_without_a_reply_is_limited_too(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(ChildCrashError, match="took longer than 1 s"):
            await model.text(slot, "HANG", Patience(3600.0, silence_s=1.0))


async def test_time_that_the_worker_takes_is_not_held_against_the_child(started: Pool, model: Model) -> None:
    async def slowly(reply: Reply) -> None:
        assert isinstance(reply, Progress)
        await asyncio.sleep(1.5)

    async with started() as pool, pool.slot() as slot:
        reply = await slot.ask(model.request(), ChunkProcessed, patience=Patience(1.0), on_reply=slowly)
        assert reply.transcript.text == "tick tick"


async def test_a_loop_that_no_worker_stops_is_ended_by_the_kernel(model: Model, scratch: Path) -> None:
    warm = Warm(engine="scripted", model_path=str(model.folder), memory_bytes=MEMORY_BYTES)
    child = await ComputeChild.start(warm, threads=1, scratch=scratch)
    try:
        for _ in range(2):  # the allowance is of a request, not of a life
            await child.ask(model.request(), ChunkProcessed, patience=LONG, cpu_s=1)
        with pytest.raises(ChildCrashError, match=r"used more CPU time than it was given \(SIGXCPU\)") as crash:
            await child.ask(model.request("SPIN"), ChunkProcessed, patience=LONG, cpu_s=1)
        assert "in _spin" in str(crash.value)
    finally:
        await child.kill()


async def test_a_cancelled_request_ends_the_child_at_once_with_what_it_started(started: Pool, model: Model) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            doomed = slot.child.pid
            asking = model.asked(slot, "SPAWN HANG")
            await until(lambda: len(group(doomed)) == 2)

            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

            assert doomed not in group(doomed)
            await until(lambda: not group(doomed))
        async with pool.slot() as slot:
            assert slot.child.pid != doomed
            assert await model.text(slot) == "tick tick"


async def test_an_error_fails_the_request_and_keeps_the_child(started: Pool, model: Model) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            kept = slot.child.pid
            with pytest.raises(TransientError, match="internal error"):
                await model.text(slot, "ERROR")
        async with pool.slot() as slot:
            assert slot.child.pid == kept
            assert await model.text(slot) == "tick tick"


async def test_a_misfortune_that_happens_once_happens_once(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(ChildCrashError):
            await model.text(slot, "CRASH ONCE a")
        assert await model.text(slot, "CRASH ONCE a") == "tick tick"
        assert [call.duration_s for call in model.calls()] == [2.0, 2.0]
        assert len({call.sha256 for call in model.calls()}) == 1
        assert len({call.pid for call in model.calls()}) == 2


async def test_an_answer_to_another_question_is_a_crash(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        doomed = slot.child.pid
        with pytest.raises(ChildCrashError, match="answered ProcessChunk with ChunkProcessed"):
            await slot.ask(model.request(), Joined, patience=LONG)
        assert not group(doomed)


async def test_a_child_that_dies_in_an_idle_slot_does_not_count_against_the_next_task(
    started: Pool, model: Model
) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            os.kill(slot.child.pid, signal.SIGKILL)
            await until(lambda: not slot.child.is_alive)
            assert await model.text(slot) == "tick tick"
            last = slot.child
        os.kill(last.pid, signal.SIGKILL)
        await until(lambda: not last.is_alive)
        async with pool.slot() as slot:
            assert await model.text(slot) == "tick tick"


async def test_the_memory_of_a_child_never_exceeds_its_limit(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        pid = slot.child.pid
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] == MEMORY_BYTES
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert _read(f"/proc/{pid}/oom_score_adj") > _read("/proc/self/oom_score_adj")  # it is ended before its worker
        seen = [_anonymous_bytes(pid)]
        asking = model.asked(slot, "OOM")
        while not asking.done():
            seen.append(_anonymous_bytes(pid))
            await asyncio.sleep(0.002)
        with pytest.raises(ChildCrashError, match="ran out of the memory"):
            await asking
        assert seen[0] < max(seen) <= MEMORY_BYTES + STACK_BYTES


def _read(path: str) -> int:
    return int(Path(path).read_text())


def _anonymous_bytes(pid: int) -> int:
    """What is resident of a process and maps no file; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)
