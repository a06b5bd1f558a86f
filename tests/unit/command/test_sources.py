"""Inputs are files, folders and URLs, each taken once."""

import os
from pathlib import Path

import pytest

from deploy.command.errors import SourceError
from deploy.command.sources import find_sources, missing_paths, name_of_url, printable


def test_a_folder_is_searched_for_audio_by_name(tmp_path: Path) -> None:
    for name in ("b.MP3", "a.wav", "x/c.flac", "notes.txt", ".hidden.wav", ".git/d.wav", "e.wav.part"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")

    found = [source.name for source in find_sources([str(tmp_path)])]

    assert found == [str(tmp_path / name) for name in ("a.wav", "b.MP3", "x/c.flac")]


def test_an_input_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    assert len(find_sources(["a.wav", str(tmp_path / "a.wav"), ".", "https://a.example/x", "https://a.example/x"])) == 2


def test_a_named_file_needs_no_ending_and_need_not_exist(tmp_path: Path) -> None:
    (source,) = find_sources([str(tmp_path / "missing")])

    with pytest.raises(SourceError, match="No such file"):
        source.stat()


def test_the_secrets_of_a_url_are_not_shown() -> None:
    (source,) = find_sources(["HTTPS://user:word@a.example/x.mp3?signature=abc#part"])

    assert source.id.endswith("?signature=abc#part")
    assert source.name == "https://a.example/x.mp3"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/x/y.mp3", "y.mp3"),
        ("https://a.example/x/", "x"),
        ("https://a.example", "a.example"),
        ("https://a.example/%00%0a.mp3", "__.mp3"),
        ("https://a.example/" + "x" * 300 + ".mp3", "x" * 100 + ".mp3"),
    ],
)
def test_the_name_of_a_url_is_a_file_name(url: str, name: str) -> None:
    assert name_of_url(url) == name


def test_any_name_can_be_shown() -> None:
    undecodable = os.fsdecode(b"\xff\x1b[2J.wav")

    assert printable(undecodable) == "?\N{REPLACEMENT CHARACTER}[2J.wav"


def test_missing_paths_are_named(tmp_path: Path) -> None:
    assert missing_paths([str(tmp_path), str(tmp_path / "x"), "https://a.example/x"]) == [str(tmp_path / "x")]


@pytest.mark.parametrize("text", ["~no.such.user/a.wav", "a" * 300, "a/" * 3000])
def test_a_path_that_cannot_be_looked_at_is_a_missing_file(text: str) -> None:
    (source,) = find_sources([text])

    assert missing_paths([text]) == [text]
    with pytest.raises(SourceError):
        source.stat()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://[x/a.mp3", "audio"),
        ("http://./", "audio"),
        ("http://..:80/../", "audio"),
        ("http://a.example/", "a.example"),
    ],
)
def test_the_name_of_a_url_is_never_that_of_a_folder(url: str, name: str) -> None:
    assert name_of_url(url) == name
