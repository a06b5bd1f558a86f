"""What a child may take and say, as decided before it is started."""

import asyncio
import math
import signal

import pytest

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute import child_process as replies
from processor_service.compute import resource_limits as limits
from processor_service.compute.child_process import BrokenReplyError, Replies
from processor_service.compute.messages import HEADER, Progress, Ready, Reply, frame
from processor_service.compute.resource_limits import Patience

GIB = 1 << 30


def test_memory_is_that_of_the_two_largest_models_unless_a_setting_fixes_it() -> None:
    assert limits.memory_bytes(0, []) == 4 * GIB
    assert limits.memory_bytes(0, [GIB]) == 7 * GIB
    assert limits.memory_bytes(0, [GIB, 3 * GIB, 2 * GIB]) == 19 * GIB
    assert limits.memory_bytes(GIB, [3 * GIB]) == GIB


def test_cpu_time_is_that_of_all_threads_and_a_little_more() -> None:
    assert limits.cpu_allowance_s(Patience(120), threads=4) == 605
    assert limits.cpu_allowance_s(Patience(0.1), threads=1) == 6


def test_a_denoised_file_fits_into_its_limit_at_the_greatest_depth() -> None:
    chunk = ChunkFile(
        path="",
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=480_000,
        sample_rate_hz=48_000,
        channels=2,
    )
    assert limits.denoised_file_bytes(chunk) - limits.SMALL_FILES_BYTES >= 480_000 * 2 * 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-signal.SIGSEGV, "was ended (SIGSEGV)"),
        (-signal.SIGKILL, "was ended (SIGKILL)"),
        (-signal.SIGXCPU, "used more CPU time than it was given (SIGXCPU)"),
        (limits.OUT_OF_MEMORY_STATUS, "ran out of the memory it may use"),
        (1, "ended with status 1"),
    ],
)
def test_an_exit_status_is_said_in_words(status: int, words: str) -> None:
    assert limits.ended_how(status) == words


@pytest.mark.parametrize(
    ("error", "is_out_of_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("shapes do not match"), False),
        (FileNotFoundError(2, "No such file"), False),
    ],
)
def test_libraries_that_ran_out_of_memory_are_understood(error: Exception, is_out_of_memory: bool) -> None:  # noqa: FBT001 - a parameter
    assert limits.is_out_of_memory(error) is is_out_of_memory


async def test_replies_are_read_one_by_one() -> None:
    said = _said(frame(Progress(fraction=0.5)) + frame(Ready()))
    assert [await said.read(), await said.read()] == [Progress(fraction=0.5), Ready()]
    with pytest.raises(asyncio.IncompleteReadError):
        await said.read()


@pytest.mark.parametrize(
    "words",
    [
        HEADER.pack(replies.MAX_BYTES + 1),
        b"\xff" * 64,
        HEADER.pack(5) + b"\xc1junk",
        HEADER.pack(0),
        frame(Ready()).replace(b"Ready", b"Reads"),
    ],
    ids=["too long", "noise", "no message", "nothing", "unknown"],
)
async def test_what_is_no_reply_is_refused_before_it_is_waited_for(words: bytes) -> None:
    with pytest.raises(BrokenReplyError):
        await _said(words).read()


async def test_replies_are_bounded_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    reply: Reply = Progress(fraction=0.5)
    monkeypatch.setattr(replies, "MAX_BYTES", 10 * (len(frame(reply)) - HEADER.size))
    said = _said(frame(reply) * 20)
    for _ in range(10):
        await said.read()
    with pytest.raises(BrokenReplyError):
        await said.read()


async def test_replies_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_REPLIES", 3)
    said = _said(frame(Ready()) * 4)
    for _ in range(3):
        await said.read()
    with pytest.raises(BrokenReplyError):
        await said.read()


def test_silence_is_not_limited_unless_said() -> None:
    assert Patience(5).silence_s == math.inf


def _said(words: bytes) -> Replies:
    stream = asyncio.StreamReader()
    stream.feed_data(words)
    stream.feed_eof()
    return Replies(stream)
