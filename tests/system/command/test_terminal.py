"""On a terminal there are bars; afterwards the terminal is as before."""

import asyncio
import os
import pty
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.clips import JFK
from tests.support.command import TIMEOUT_S, Command
from tests.support.stack.launched import ROOT, Launched

pytestmark = pytest.mark.process

HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"


class Screen:
    """A terminal, and what was written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.text = b""
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Screen"]:
        asyncio.get_running_loop().add_reader(self.ours, self._read)
        try:
            yield self
        finally:
            asyncio.get_running_loop().remove_reader(self.ours)
            os.close(self.ours)
            os.close(self.theirs)

    def _read(self) -> None:
        self.text += os.read(self.ours, 1 << 16)
        self._changed.set()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while words not in self.text:
                self._changed.clear()
                await self._changed.wait()


async def test_bars_name_files_and_end_with_the_command(command: Command, folder: Path) -> None:
    for name in ("a [red].flac", "b.flac"):
        shutil.copy(JFK.path, folder / name)

    async with Screen().reading() as screen:
        process = await command.start("transcribe", ".", "-f", "srt", stderr=screen.theirs)
        assert await process.wait() == 0
        await screen.until(SHOWN)

    assert b"a [red].flac -> a [red].srt" in screen.text
    assert screen.text.rindex(HIDDEN) < screen.text.rindex(SHOWN)


async def test_an_interruption_leaves_a_clean_terminal(command: Command, folder: Path) -> None:
    shutil.copy(JFK.path, folder / "a.flac")

    async with Screen().reading() as screen:
        process = await command.start(
            "transcribe", ".", "-f", "srt", "--initial_prompt", "SLOW 60", stderr=screen.theirs
        )
        await screen.until(b"transcribe")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        await screen.until(SHOWN)

    assert b"a.flac: cancelled" in screen.text
    assert b"Traceback" not in screen.text


async def test_make_transcribes_names_with_blanks(command_stack: Launched, folder: Path) -> None:
    for name in ("a talk.flac", "b.flac"):
        shutil.copy(JFK.path, folder / name)
    files = f"FILES='{folder}/a talk.flac' '{folder}/b.flac'"
    of_make = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}  # of the make that runs the tests
    environ = {name: value for name, value in os.environ.items() if name not in of_make}
    environ |= {"HEADRACE_URL": command_stack.url, "XDG_STATE_HOME": str(folder.parent / "state")}

    process = await asyncio.create_subprocess_exec(
        *("make", "-o", ".venv/ready", "-o", ".venv/models/speakers-embedding.json", "transcribe", files, "FORMAT=srt"),
        cwd=ROOT,
        env=environ,
    )

    assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0
    assert " --> " in (folder / "a talk.srt").read_text()
    assert " --> " in (folder / "b.srt").read_text()
