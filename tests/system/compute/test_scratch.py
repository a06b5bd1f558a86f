"""Scratch folders: one a processor; it deletes its own, and the next processor sweeps that of a killed one."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from processor_service.scratch import open_scratch, sweep
from shared.settings import SettingsError
from tests.support.stack.launched import ROOT
from tests.system.compute.conftest import files

OWNER = """
import asyncio, sys
from processor_service.scratch import open_scratch
async def main():
    async with open_scratch(sys.argv[1]) as scratch:
        with scratch.task_folder() as folder:
            (folder / "0.flac").write_bytes(b"audio")
            print(folder, flush=True)
            sys.stdin.read()
asyncio.run(main())
"""


async def _owner(parent: Path) -> tuple[Process, Path]:
    """Start a process that holds a scratch folder until its input ends. Return it and the folder of its task."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(parent), stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    return process, Path((await process.stdout.readline()).decode().strip())


async def test_folders_are_deleted_at_the_end_of_their_blocks(tmp_path: Path) -> None:
    async with open_scratch(str(tmp_path / "not yet there")) as scratch:
        assert scratch.folder.parent == tmp_path / "not yet there"
        with scratch.task_folder() as one, scratch.task_folder() as another:
            assert one != another
            assert one.parent == another.parent == scratch.folder
            (one / "0.flac").write_bytes(b"audio")
        assert not one.exists()
        (scratch.folder / "left over").write_bytes(b"audio")
    assert not files(tmp_path / "not yet there")


@pytest.mark.process
async def test_only_the_folder_of_a_killed_processor_is_swept(tmp_path: Path) -> None:
    living, held = await _owner(tmp_path)
    killed, abandoned = await _owner(tmp_path)
    killed.kill()
    await killed.wait()
    assert (abandoned / "0.flac").exists()

    async with open_scratch(str(tmp_path)) as scratch:
        assert files(tmp_path) == {held.parent, scratch.folder}
        assert (held / "0.flac").exists()

    await living.communicate(b"")
    assert not files(tmp_path)


def test_nothing_else_is_swept(tmp_path: Path) -> None:
    stranger = tmp_path / "headrace-backup"
    stranger.mkdir()
    linked = tmp_path / "headrace-scratch-linked"
    linked.symlink_to(stranger)
    (tmp_path / "headrace-scratch-file").write_bytes(b"")

    sweep(tmp_path)

    assert stranger.is_dir()
    assert list(stranger.iterdir()) == []
    assert linked.is_symlink()
    assert (tmp_path / "headrace-scratch-file").is_file()


async def test_processors_that_start_together_do_not_sweep_one_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        owned = await asyncio.gather(*(stack.enter_async_context(open_scratch(str(tmp_path))) for _ in range(40)))
        await asyncio.to_thread(sweep, tmp_path)
        assert {scratch.folder for scratch in owned} == files(tmp_path)


async def test_an_unusable_folder_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="HEADRACE_SCRATCH_DIR"):
        async with open_scratch(str(tmp_path / "file")):
            pass
