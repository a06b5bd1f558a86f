"""Without a service, the command starts a stack, uses it and stops it; nothing remains."""

import signal
import socket
from pathlib import Path

import pytest

from tests.support.clips import JFK
from tests.support.command import Command, ended, printed
from tests.support.stack.launched import alive, descendants

pytestmark = pytest.mark.process


@pytest.fixture
def alone(folder: Path) -> Command:
    """The command without an address, where nothing listens at the default one."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8000)) == 0:
            pytest.skip("a service listens at the default address")
    (folder / "temporary").mkdir()
    return Command("", folder, TMPDIR=str(folder / "temporary"), HEADRACE_TRANSCRIBER="scripted")


async def test_a_file_is_transcribed_without_a_service(alone: Command, folder: Path) -> None:
    (folder / "a.flac").write_bytes(JFK.path.read_bytes())

    done = await alone.run("transcribe", "a.flac", "-f", "srt")

    assert done.status == 0, done.errors
    assert " --> " in (folder / "a.srt").read_text()
    assert not [path for path in (folder / "temporary").iterdir() if path.is_dir() and "scratch" not in path.name]
    assert (await alone.run("transcribe", "a.flac", "-f", "srt", "--json")).results[0]["status"] == "skipped"


async def test_an_interruption_stops_the_stack(alone: Command, folder: Path) -> None:
    (folder / "a.flac").write_bytes(JFK.path.read_bytes())
    process = await alone.start("transcribe", "a.flac", "-f", "srt", "--initial_prompt", "SLOW 60")
    await printed(process, "a.flac: uploading")
    family = descendants(process.pid)
    assert family

    process.send_signal(signal.SIGINT)
    done = await ended(process)

    assert done.status == 130
    assert alive(family) == set()


async def test_other_commands_start_nothing(alone: Command) -> None:
    done = await alone.run("jobs")

    assert done.status == 1
    assert "does not answer" in done.errors
    assert "`make run`" in done.errors
