"""`headrace watch`: each file that comes into a folder or bucket becomes one job, and its outputs are put beside it."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.acceptance.client import Client
from tests.support.clips import JFK
from tests.support.command import Command, ended, printed
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import Launched
from tests.support.storage.bucket import Bucket
from tests.support.storage.fixtures import seaweedfs
from tests.support.storage.seaweedfs import SeaweedFS
from tests.support.storage.stores import environment

__all__ = ["seaweedfs"]
pytestmark = pytest.mark.process

QUICK = ("--every", "0.1", "--settle", "0.2")


async def jobs_of(client: Client, path: str) -> list[str]:
    """Return the statuses of the jobs that watchers made of a path."""
    query = {"metadata_key": "path", "metadata_value": path}
    async with client.http.get("/v1/jobs", params=query) as response:
        assert response.status == 200
        return [job["status"] for job in (await response.json())["jobs"]]


def visible(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in found if path.parts[0] != ".headrace")


async def test_what_comes_becomes_one_job_each(
    command: Command, folder: Path, client: Client, command_stack: Launched
) -> None:
    shutil.copy(JFK.path, folder / "one.flac")
    process = await command.start("watch", ".", *QUICK, "--option", "language=en")
    try:
        await printed(process, "one.flac -> one.srt, one.json")

        (folder / "sub").mkdir()
        shutil.copy(JFK.path, folder / "sub" / ".part")
        (folder / "sub" / ".part").rename(folder / "sub" / "moved in.flac")
        await printed(process, "sub/moved in.flac -> sub/moved in.srt")

        os.kill(command_stack.pids()["ingest"], signal.SIGKILL)
        (folder / "broken.wav").write_bytes(b"no audio")
        await printed(process, "broken.wav: failed")
        (folder / "broken.wav").write_bytes(wav(32000))
        await printed(process, "broken.wav -> broken.srt")
    finally:
        process.send_signal(signal.SIGTERM)
        done = await ended(process)

    assert done.status == 128 + signal.SIGTERM
    transcript = json.loads((folder / "one.json").read_bytes())
    assert transcript["language"] == "en"
    assert [name for name in visible(folder) if "error" in name] == []
    assert await jobs_of(client, "one.flac") == ["COMPLETED"]
    assert await jobs_of(client, "broken.wav") == ["COMPLETED"]

    again = await command.run("watch", ".", *QUICK, "--once", "--json")
    assert (again.status, again.output) == (0, "")


async def test_two_watchers_make_one_job_of_each_file(command: Command, folder: Path, client: Client) -> None:
    names = [f"two {number}.wav" for number in range(12)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(wav(3200 + number))

    watchers = await asyncio.gather(*(command.run("watch", ".", *QUICK, "--once", "--json") for _ in range(2)))

    assert [each.status for each in watchers] == [0, 0]
    for name in names:
        assert await jobs_of(client, name) == ["COMPLETED"]
        assert (folder / name).with_suffix(".srt").exists()


async def test_refused_and_unreadable_files_are_explained_once(command: Command, folder: Path) -> None:
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "text.mp3").write_bytes(b"this is not audio")
    (folder / "outside.mp3").symlink_to(JFK.path)

    first = await command.run("watch", ".", *QUICK, "--once", "--json")
    second = await command.run("watch", ".", *QUICK, "--once", "--json")

    assert first.status == 1
    assert {each["error"]["code"] for each in first.results} == {"empty_upload", "unsupported_media"}
    assert (second.status, second.output) == (0, "")
    assert visible(folder) == ["empty.error.txt", "empty.mp3", "outside.mp3", "text.error.txt", "text.mp3"]
    assert "unsupported_media" in (folder / "text.error.txt").read_text()


async def test_outputs_go_to_another_folder_and_sources_are_moved(
    command: Command, folder: Path, tmp_path: Path, client: Client
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "far.wav").write_bytes(wav(7000))
    arguments = ("watch", ".", *QUICK, "--once", "--to", tmp_path / "out", "--move-done", "done", "--erase")

    done = await command.run(*arguments, "-f", "txt")

    assert done.status == 0, done.errors
    assert visible(folder) == ["done/sub/far.wav"]
    assert visible(tmp_path / "out") == ["sub/far.txt"]
    assert await jobs_of(client, "sub/far.wav") == []


async def test_existing_outputs_are_kept(command: Command, folder: Path, client: Client) -> None:
    (folder / "kept.wav").write_bytes(wav(7001))
    (folder / "by hand.wav").write_bytes(wav(7002))
    for name in ("kept.srt", "kept.json", "by hand.srt"):
        (folder / name).write_text("by a person")

    done = await command.run("watch", ".", *QUICK, "--once")

    assert done.status == 0, done.errors
    assert await jobs_of(client, "kept.wav") == []
    assert (folder / "by hand.srt").read_text() == "by a person"
    assert (folder / "by hand.wav.srt").exists()


async def test_a_wrong_option_ends_the_command_and_blames_no_file(command: Command, folder: Path) -> None:
    (folder / "a.wav").write_bytes(wav(7003))

    done = await command.run("watch", ".", *QUICK, "--option", "diarise=true")

    assert done.status == 1
    assert "diarise" in done.errors
    assert visible(folder) == ["a.wav"]


async def test_a_bucket_is_watched(
    command_stack: Launched, folder: Path, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    bucket = Bucket(seaweedfs.url, "headrace", "calls")
    assert await bucket.make()
    for name, value in environment(bucket.endpoint).items():
        monkeypatch.setenv(name, value)
    from deploy.command.watcher.places import open_place

    place = open_place(bucket.url)
    await place.put("2026/Anruf ä.flac", JFK.path.read_bytes())
    command = Command(command_stack.url, folder)

    done = await command.run("watch", bucket.url, "--once", "--every", "0.2", "--json")
    again = await command.run("watch", bucket.url, "--once", "--every", "0.2", "--json")

    assert done.status == 0, done.errors
    assert again.output == ""
    assert b"-->" in (await place.get("2026/Anruf ä.srt") or b"")
    assert await jobs_of(client, "2026/Anruf ä.flac") == ["COMPLETED"]
