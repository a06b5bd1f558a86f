"""Folders and buckets as places of watched files: the same rules for both."""

import asyncio
import os
from pathlib import Path

import pytest

from deploy.command.errors import SourceError
from deploy.command.watcher.journal import Journal, with_ending
from deploy.command.watcher.places import Entry, Place, PlaceError, open_place
from tests.support.storage.bucket import Bucket
from tests.support.storage.stores import environment

AUDIO = b"RIFF" + bytes(100)


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.process)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return open_place(str(tmp_path), excluded="done")
    bucket: Bucket = request.getfixturevalue("bucket")
    for name, value in environment(bucket.endpoint).items():
        monkeypatch.setenv(name, value)
    return open_place(bucket.url, excluded="done")


async def content(place: Place, entry: Entry) -> bytes:
    return b"".join([piece async for piece in place.read(entry)])


async def test_audio_is_found_with_subfolders_and_nothing_else(place: Place) -> None:
    wanted = ["a.mp3", "sub/é \u202e'\"%41.wav", "sub/deep/x.FLAC"]
    others = ["a.srt", ".hidden.mp3", ".headrace/b.mp3", "done/c.mp3", "sub/.d.mp3", "noending"]
    for path in wanted + others:
        await place.put(path, AUDIO)

    found = {each.path: each for each in await place.scan()}

    assert sorted(found) == sorted(wanted)
    for path, entry in found.items():
        assert entry == await place.find(path)
        assert await content(place, entry) == AUDIO


async def test_a_changed_file_has_another_version(place: Place) -> None:
    await place.put("a.mp3", AUDIO)
    before = await place.find("a.mp3")
    await place.put("a.mp3", AUDIO + b"1")
    after = await place.find("a.mp3")

    assert before is not None
    assert after is not None
    assert before.version != after.version


async def test_a_file_that_is_gone_or_became_shorter_is_no_whole_upload(place: Place) -> None:
    await place.put("a.mp3", AUDIO)
    entry = await place.find("a.mp3")
    assert entry is not None

    await place.put("a.mp3", b"short")
    with pytest.raises(SourceError):
        await content(place, entry)

    await place.remove("a.mp3")
    await place.remove("a.mp3")
    assert await place.find("a.mp3") is None
    assert await place.get("a.mp3") is None
    with pytest.raises(SourceError):
        await content(place, entry)


async def test_a_large_file_is_read_in_pieces(place: Place) -> None:
    large = os.urandom((9 << 20) + 1)
    await place.put("large.wav", large)
    entry = await place.find("large.wav")
    assert entry is not None

    assert await content(place, entry) == large


async def test_one_of_many_creates_a_file(place: Place) -> None:
    written = await asyncio.gather(*(place.create("names/x", str(each).encode()) for each in range(8)))

    assert written.count(True) == 1
    assert await place.get("names/x") == str(written.index(True)).encode()


async def test_a_file_is_moved(place: Place) -> None:
    await place.put("sub/a.mp3", AUDIO)
    await place.move("sub/a.mp3", "done/sub/a.mp3")

    assert await place.get("done/sub/a.mp3") == AUDIO
    assert await place.scan() == []


async def test_each_file_gets_its_own_outputs(place: Place) -> None:
    journal = Journal(place, "x")
    await place.put("foreign.srt", b"by a person")

    bases = [await journal.claim_base(path, ["srt"]) for path in ("talk.mp3", "talk.wav", "foreign.mp3", "talk.mp3")]

    assert bases == ["talk", "talk.wav", "foreign.mp3", "talk"]


async def test_two_watchers_agree_on_outputs(place: Place) -> None:
    journals = [Journal(place, "x") for _ in range(4)]

    bases = await asyncio.gather(*(each.claim_base("talk.mp3", ["srt"]) for each in journals))

    assert set(bases) == {"talk"}


@pytest.mark.parametrize("name", ["x" * 250 + ".wav", "é" * 120 + ".wav"])
async def test_outputs_of_long_names_fit(place: Place, name: str) -> None:
    base = await Journal(place, "x").claim_base(f"sub/{name}", ["textgrid"])

    await place.put(with_ending(base, "textgrid"), b"1")
    await place.put(f"{base}.error.txt", b"1")


async def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.mp3").write_bytes(AUDIO)
    (tmp_path / "real").mkdir()
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "link.mp3").symlink_to(tmp_path / "secret.mp3")
    (watched / "folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(watched / "pipe.mp3")
    place = open_place(str(watched))

    assert await place.scan() == []
    assert await place.find("link.mp3") is None
    with pytest.raises(SourceError):
        await content(place, Entry("link.mp3", 1, "1", "1", 1.0))


async def test_a_name_that_is_not_unicode_is_a_name(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n")
    (tmp_path / f"{name}.mp3").write_bytes(AUDIO)
    place = open_place(str(tmp_path))
    (entry,) = await place.scan()
    journal = Journal(place, "x")

    assert await content(place, entry) == AUDIO
    await journal.write(entry, "begun")
    assert await journal.read(entry) is not None
    await place.put(with_ending(await journal.claim_base(entry.path, ["srt"]), "srt"), b"1")
    assert (tmp_path / f"{name}.srt").exists()


async def test_a_folder_that_is_missing_is_no_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="No such file"):
        await open_place(str(tmp_path / "unmounted")).scan()


@pytest.mark.process
async def test_a_bucket_that_is_missing_is_an_error(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(bucket.endpoint).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PlaceError):
        await open_place("s3://no-such-bucket/x").put("a", b"1")
