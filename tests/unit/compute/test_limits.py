"""The resource limits of a child, and the limits of its replies."""

import asyncio
import math
import signal

import pytest

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute import replies
from processor_service.compute import resource_limits as limits
from processor_service.compute.messages import HEADER, Progress, Ready, Reply, WindowTranscribed, frame
from processor_service.compute.replies import BrokenReplyError, Replies
from processor_service.compute.resource_limits import TimeLimit
from shared.schemas.windows import WindowSegment

GIB = 1 << 30


def test_memory_is_that_of_the_two_largest_models_unless_a_setting_fixes_it() -> None:
    assert limits.memory_bytes(0, []) == 4 * GIB
    assert limits.memory_bytes(0, [GIB]) == 7 * GIB
    assert limits.memory_bytes(0, [GIB, 3 * GIB, 2 * GIB]) == 19 * GIB
    assert limits.memory_bytes(GIB, [3 * GIB]) == GIB


def test_cpu_time_covers_all_threads_and_a_margin() -> None:
    assert limits.cpu_allowance_s(TimeLimit(120), threads=4) == 605
    assert limits.cpu_allowance_s(TimeLimit(0.1), threads=1) == 6


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
        (-signal.SIGSEGV, "was killed (SIGSEGV)"),
        (-signal.SIGKILL, "was killed (SIGKILL)"),
        (-signal.SIGXCPU, "exceeded its CPU time limit (SIGXCPU)"),
        (limits.OUT_OF_MEMORY_STATUS, "exceeded its memory limit"),
        (1, "ended with status 1"),
    ],
)
def test_an_exit_status_is_described(status: int, words: str) -> None:
    assert limits.describe_exit(status) == words


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
def test_out_of_memory_errors_of_libraries_are_recognized(error: Exception, is_out_of_memory: bool) -> None:  # noqa: FBT001 - a parameter
    assert limits.is_out_of_memory(error) is is_out_of_memory


async def test_replies_are_read_one_by_one() -> None:
    stream_replies = _replies_of(frame(Progress(fraction=0.5)) + frame(Ready(missing=())))
    assert [await stream_replies.read(), await stream_replies.read()] == [Progress(fraction=0.5), Ready(missing=())]
    with pytest.raises(asyncio.IncompleteReadError):
        await stream_replies.read()


@pytest.mark.parametrize(
    "words",
    [
        HEADER.pack(replies.MAX_BYTES + 1),
        b"\xff" * 64,
        HEADER.pack(5) + b"\xc1junk",
        HEADER.pack(0),
        frame(Ready(missing=())).replace(b"Ready", b"Reads"),
    ],
    ids=["too long", "noise", "no message", "nothing", "unknown"],
)
async def test_an_invalid_reply_is_rejected_at_once(words: bytes) -> None:
    with pytest.raises(BrokenReplyError):
        await _replies_of(words).read()


async def test_replies_are_limited_in_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    reply: Reply = Progress(fraction=0.5)
    monkeypatch.setattr(replies, "MAX_BYTES", 10 * (len(frame(reply)) - HEADER.size))
    stream_replies = _replies_of(frame(reply) * 20)
    for _ in range(10):
        await stream_replies.read()
    with pytest.raises(BrokenReplyError):
        await stream_replies.read()


async def test_windows_are_limited_in_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    window = WindowTranscribed(segments=(WindowSegment(start=0.0, end=1.0, text="and so on"),))
    monkeypatch.setattr(replies, "MAX_WINDOW_BYTES", 2 * (len(frame(window)) - HEADER.size))
    stream_replies = _replies_of(frame(window) + frame(Progress(fraction=0.5)) * 20 + frame(window) * 2)
    for _ in range(22):
        await stream_replies.read()
    with pytest.raises(BrokenReplyError, match="windows"):
        await stream_replies.read()


async def test_replies_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_REPLIES", 3)
    stream_replies = _replies_of(frame(Ready(missing=())) * 4)
    for _ in range(3):
        await stream_replies.read()
    with pytest.raises(BrokenReplyError):
        await stream_replies.read()


def test_the_idle_time_is_unlimited_by_default() -> None:
    assert TimeLimit(5).idle_s == math.inf


def _replies_of(frames: bytes) -> Replies:
    stream = asyncio.StreamReader()
    stream.feed_data(frames)
    stream.feed_eof()
    return Replies(stream)
