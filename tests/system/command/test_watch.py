"""`headrace transcribe --watch`: what comes into a folder is transcribed once it is complete."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.clips import JFK
from tests.support.command import Command, ended, printed
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import Launched

pytestmark = pytest.mark.process


async def test_a_folder_is_kept_transcribed(command: Command, folder: Path, command_stack: Launched) -> None:
    shutil.copy(JFK.path, folder / "there.flac")
    process = await command.start("transcribe", ".", "--watch", "--every", "0.2", "-f", "srt")
    try:
        await printed(process, "there.flac -> there.srt")

        (folder / "sub").mkdir()
        shutil.copy(JFK.path, folder / "sub" / ".moved.part")
        (folder / "sub" / ".moved.part").rename(folder / "sub" / "moved.flac")
        await printed(process, "moved.flac -> sub/moved.srt")

        os.kill(command_stack.pids()["ingest"], signal.SIGKILL)
        (folder / "later.wav").write_bytes(wav())
        await printed(process, "later.wav -> later.srt")

        (folder / "later.wav").write_bytes(wav(64000))
        await printed(process, "later.wav -> later.srt")

        (folder / "broken.wav").write_bytes(b"no audio")
        await printed(process, "broken.wav: failed")
        shutil.copy(JFK.path, folder / "after.flac")
        await printed(process, "after.flac -> after.srt")
    finally:
        process.send_signal(signal.SIGINT)
        done = await ended(process)

    assert done.status == 130
    assert "there.flac" not in done.errors  # nothing is done twice
    written = [name for _, _, names in os.walk(folder) for name in names if name.endswith(".srt")]
    assert sorted(written) == ["after.srt", "later.srt", "moved.srt", "there.srt"]
