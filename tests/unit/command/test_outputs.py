"""Outputs are named as whisper names them, no two sources share one, and a write is all or nothing."""

import os
from pathlib import Path

import pytest

from deploy.command.errors import CommandError
from deploy.command.outputs import is_up_to_date, plan_bases, require_writable, with_ending, write_output
from deploy.command.sources import Source, Stat, find_sources
from deploy.command.state import State


@pytest.fixture
def state() -> State:
    return State(None)


def files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"audio")
    return paths


def planned(state: State, *inputs: Path | str, output_dir: Path | None = None) -> list[Path]:
    sources = find_sources(map(str, inputs))
    bases = plan_bases(sources, output_dir, state)
    return [bases[source.id] for source in sources]


def source_of(path: Path) -> Source:
    (source,) = find_sources([str(path)])
    return source


def test_an_output_is_beside_its_file_without_the_ending(tmp_path: Path, state: State) -> None:
    one, other = files(tmp_path, "talk.mp3", "a.b.c.wav")

    assert planned(state, one, other) == [tmp_path / "talk", tmp_path / "a.b.c"]
    assert with_ending(tmp_path / "a.b.c", "srt") == tmp_path / "a.b.c.srt"
    assert with_ending(tmp_path / "a", "textgrid") == tmp_path / "a.TextGrid"  # as Praat names them


def test_files_that_differ_in_their_ending_keep_it(tmp_path: Path, state: State) -> None:
    one, other, third = files(tmp_path, "talk.mp3", "TALK.wav", "other.wav")

    assert [base.name for base in planned(state, one, other, third)] == ["talk.mp3", "TALK.wav", "other"]


def test_files_of_one_name_in_two_folders_have_different_outputs(tmp_path: Path, state: State) -> None:
    paths = files(tmp_path, "x/talk.mp3", "y/talk.mp3", "z/talk.mp3")

    bases = planned(state, *paths, output_dir=tmp_path / "out")

    assert len(set(bases)) == 3
    assert bases == planned(state, *paths, output_dir=tmp_path / "out")


def test_the_subfolders_of_a_folder_are_kept_in_the_output_folder(tmp_path: Path, state: State) -> None:
    files(tmp_path / "in", "talk.mp3", "x/talk.mp3")

    bases = planned(state, tmp_path / "in", output_dir=tmp_path / "out")

    assert bases == [tmp_path / "out/talk", tmp_path / "out/x/talk"]


def test_urls_are_named_after_the_end_of_their_path(state: State) -> None:
    urls = ("https://a.example/x/My%20talk.mp3?token=1", "https://b.example/", "https://a.example/%2e%2e%2fetc%2Fx.mp3")

    assert planned(state, *urls) == [Path("My talk"), Path("b"), Path("x")]


def test_two_urls_of_one_name_have_different_outputs(state: State) -> None:
    assert len(set(planned(state, "https://a.example/talk.mp3", "https://b.example/talk.mp3"))) == 2


def test_no_output_overwrites_an_input(tmp_path: Path, state: State) -> None:
    text, audio = files(tmp_path, "notes.txt", "talk.wav")
    (captions,) = files(tmp_path, "talk.srt")

    assert [base.name for base in planned(state, text, audio, captions)] == ["notes.txt", "talk.wav", "talk.srt"]


def test_outputs_of_another_source_of_an_earlier_run_are_kept(tmp_path: Path, state: State) -> None:
    one, other = files(tmp_path, "x/talk.mp3", "y/talk.mp3")
    out = tmp_path / "out"
    (base,) = planned(state, one, output_dir=out)
    files(out, "talk.srt")
    state.save_output(base, source_of(one), source_of(one).stat())

    assert planned(state, one, output_dir=out) == [base]
    assert planned(state, other, output_dir=out) == [out / "talk.mp3"]
    assert planned(state, other, one, output_dir=out) == [out / "talk.mp3", base]


def test_a_source_keeps_its_name_when_another_of_the_same_name_comes(tmp_path: Path, state: State) -> None:
    (one,) = files(tmp_path, "talk.mp3")
    files(tmp_path, "talk.srt")
    state.save_output(tmp_path / "talk", source_of(one), source_of(one).stat())
    files(tmp_path, "talk.wav")

    assert [base.name for base in planned(state, tmp_path)] == ["talk", "talk.wav"]


def test_an_output_that_is_not_older_than_its_source_is_up_to_date(tmp_path: Path) -> None:
    audio, output = files(tmp_path, "talk.mp3", "talk.srt")
    base, source = tmp_path / "talk", source_of(audio)
    os.utime(audio, ns=(2_000_000_000, 2_000_000_000))

    for output_ns, expected in ((1_999_999_999, False), (2_000_000_000, True), (3_000_000_000, True)):
        os.utime(output, ns=(output_ns, output_ns))
        assert is_up_to_date(base, ["srt"], source, None) is expected
    assert not is_up_to_date(base, ["srt", "txt"], source, None)


def test_a_changed_source_is_not_up_to_date_whatever_its_time(tmp_path: Path, state: State) -> None:
    audio, _ = files(tmp_path, "talk.mp3", "talk.srt")
    base = tmp_path / "talk"
    state.save_output(base, source_of(audio), source_of(audio).stat())
    assert is_up_to_date(base, ["srt"], source_of(audio), state.output(base))

    audio.write_bytes(b"another")
    os.utime(audio, ns=(1, 1))

    assert not is_up_to_date(base, ["srt"], source_of(audio), state.output(base))


def test_an_output_of_another_source_is_not_up_to_date(tmp_path: Path, state: State) -> None:
    files(tmp_path, "talk.srt")
    state.save_output(tmp_path / "talk", Source(id="https://a.example/talk.mp3", name="a"), None)
    known = state.output(tmp_path / "talk")

    assert is_up_to_date(tmp_path / "talk", ["srt"], Source(id="https://a.example/talk.mp3", name="a"), known)
    assert not is_up_to_date(tmp_path / "talk", ["srt"], Source(id="https://b.example/talk.mp3", name="b"), known)


def test_a_write_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("old")

    write_output(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.mkdir()

    with pytest.raises(CommandError, match="Cannot write"):
        write_output(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandError, match="file/out"):
        require_writable(tmp_path / "file" / "out")
    require_writable(tmp_path / "new" / "out")
    assert (tmp_path / "new" / "out").is_dir()


def test_a_source_is_as_old_as_its_file(tmp_path: Path) -> None:
    (audio,) = files(tmp_path, "talk.mp3")
    os.utime(audio, ns=(5, 5))

    assert source_of(audio).stat() == Stat(5, 5)


def test_an_input_is_not_overwritten_by_way_of_a_link_to_its_folder(tmp_path: Path, state: State) -> None:
    audio, named = files(tmp_path, "real/talk.mp3", "real/talk.srt")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert planned(state, tmp_path / "link" / "talk.mp3", named)[0] == tmp_path / "link" / "talk.mp3"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "speech").symlink_to(named)
    assert planned(state, audio, tmp_path / "other" / "speech")[0] == audio


def test_two_ways_to_a_folder_share_no_output(tmp_path: Path, state: State) -> None:
    (audio,) = files(tmp_path, "real/talk.mp3")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    one, other = planned(state, audio, tmp_path / "link" / "talk.mp3")

    assert os.path.realpath(one) != os.path.realpath(other)


@pytest.mark.parametrize("name", ["a" * 251, "\N{HIRAGANA LETTER A}" * 83])
def test_an_output_may_have_the_longest_name_of_the_file_system(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.srt"

    write_output(path, b"text")

    assert [one.name for one in tmp_path.iterdir()] == [path.name]
