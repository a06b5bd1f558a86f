"""A failing compute child dies alone, with its process group, and is replaced. Real children."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from processor_service.compute.child_process import ComputeChild
from processor_service.compute.messages import ChunkProcessed, Joined, Progress, Reply, Warm
from processor_service.compute.resource_limits import TimeLimit
from processor_service.errors import ChildCrashError, TransientError
from tests.support.stack.launched import until
from tests.system.compute.conftest import ANY, LONG, MEMORY_BYTES, Model, Pool, files, group

pytestmark = pytest.mark.process

FATAL = {
    "CRASH": "SIGSEGV",
    "OOM": "exceeded its memory limit",
    "FLOOD": "exceeded its file size limit",
    "CHATTER": "sent more than the limit for replies",
    "GARBAGE": "sent more than the limit for replies",
}
STACK_BYTES = 8 << 20  # not counted as data


@pytest.mark.parametrize("fault", FATAL)
async def test_a_fatal_fault_ends_only_the_child_and_its_process_group(
    started: Pool, model: Model, scratch: Path, fault: str
) -> None:
    async with started(slots=2) as pool:
        async with pool.slot() as slot, pool.slot() as bystander:
            killed_pid, other_pid = slot.child.pid, bystander.child.pid
            other = model.asked(bystander, "SLOW 0.5")

            with pytest.raises(ChildCrashError, match=FATAL[fault]):
                await model.text(slot, f"SPAWN {fault}")

            await until(lambda: not group(killed_pid))
            assert await other == "tick tick"
            assert bystander.child.pid == other_pid
        async with pool.slot() as one, pool.slot() as another:
            assert await model.text(one) == await model.text(another) == "tick tick"
            assert other_pid in {one.child.pid, another.child.pid}
            assert len(files(scratch)) == 2  # the files of the dead child are deleted


@pytest.mark.parametrize("fault", ["HANG", "SPIN"])
async def test_an_endless_loop_is_killed_at_the_time_limit_with_its_stack(
    started: Pool, model: Model, fault: str
) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            killed_pid = slot.child.pid
            with pytest.raises(ChildCrashError, match="took longer than 1 s and was killed") as crash:
                await model.text(slot, f"SPAWN {fault}", TimeLimit(1.0))
            assert fault.lower() in str(crash.value)
            await until(lambda: not group(killed_pid))
        async with pool.slot() as slot:
            assert await model.text(slot) == "tick tick"


async def test_the_time_between_replies_is_limited(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(ChildCrashError, match="took longer than 1 s"):
            await model.text(slot, "HANG", TimeLimit(3600.0, idle_s=1.0))


async def test_the_workers_own_time_does_not_count(started: Pool, model: Model) -> None:
    async def slowly(reply: Reply) -> None:
        assert isinstance(reply, Progress)
        await asyncio.sleep(1.5)

    async with started() as pool, pool.slot() as slot:
        reply = await slot.ask(model.request(), ChunkProcessed, time_limit=TimeLimit(1.0), writes=ANY, on_reply=slowly)
        assert reply.transcript.text == "tick tick"


async def test_the_kernel_kills_a_loop_that_no_worker_stops(model: Model, scratch: Path) -> None:
    warm = Warm(engine="scripted", model_path=str(model.folder), memory_bytes=MEMORY_BYTES)
    child = await ComputeChild.start(warm, threads=1, scratch=scratch, writable=[model.folder])
    try:
        for _ in range(2):  # the allowance is per request
            await child.ask(model.request(), ChunkProcessed, time_limit=LONG, cpu_s=1)
        with pytest.raises(ChildCrashError, match=r"exceeded its CPU time limit \(SIGXCPU\)") as crash:
            await child.ask(model.request("SPIN"), ChunkProcessed, time_limit=LONG, cpu_s=1)
        assert "in _spin" in str(crash.value)
    finally:
        await child.kill()


async def test_a_cancelled_request_kills_the_childs_process_group(started: Pool, model: Model) -> None:
    async with started() as pool:
        async with pool.slot() as slot:
            killed_pid = slot.child.pid
            asking = model.asked(slot, "SPAWN HANG")
            await until(lambda: len(group(killed_pid)) == 2)

            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

            assert killed_pid not in group(killed_pid)
            await until(lambda: not group(killed_pid))
        async with pool.slot() as slot:
            assert slot.child.pid != killed_pid
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


async def test_a_crash_injected_once_happens_once(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(ChildCrashError):
            await model.text(slot, "CRASH ONCE a")
        assert await model.text(slot, "CRASH ONCE a") == "tick tick"
        assert [call.duration_s for call in model.calls()] == [2.0, 2.0]
        assert len({call.sha256 for call in model.calls()}) == 1
        assert len({call.pid for call in model.calls()}) == 2


async def test_an_answer_to_another_request_is_a_crash(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        killed_pid = slot.child.pid
        with pytest.raises(ChildCrashError, match="answered ProcessChunk with ChunkProcessed"):
            await slot.ask(model.request(), Joined, time_limit=LONG, writes=ANY)
        assert not group(killed_pid)


async def test_a_child_that_dies_between_tasks_is_not_a_crash_of_the_next_task(started: Pool, model: Model) -> None:
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


async def test_a_child_leaves_the_cores_to_the_services(started: Pool) -> None:
    async with started() as pool, pool.slot() as slot:
        assert os.getpriority(os.PRIO_PROCESS, slot.child.pid) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_the_memory_of_a_child_never_exceeds_its_limit(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        pid = slot.child.pid
        assert _limits(pid)["Max data size"][0] == str(MEMORY_BYTES)
        assert _limits(pid)["Max core file size"] == ("0", "0")
        assert _read(f"/proc/{pid}/oom_score_adj") > _read(
            "/proc/self/oom_score_adj"
        )  # the OOM killer prefers the child
        seen = [_anonymous_bytes(pid)]
        asking = model.asked(slot, "OOM")
        while not asking.done():
            seen.append(_anonymous_bytes(pid))
            await asyncio.sleep(0.002)
        with pytest.raises(ChildCrashError, match="exceeded its memory limit"):
            await asking
        assert seen[0] < max(seen) <= MEMORY_BYTES + STACK_BYTES


def _read(path: str) -> int:
    return int(Path(path).read_text())


def _limits(pid: int) -> dict[str, tuple[str, str]]:
    """Return the soft and hard limits of a process, by the name that /proc gives them."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:25].strip(): (line[26:46].strip(), line[47:67].strip()) for line in lines}


def _anonymous_bytes(pid: int) -> int:
    """Return the resident anonymous memory of a process; 0 when it ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)
