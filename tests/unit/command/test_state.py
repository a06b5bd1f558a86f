"""What a later run finds of an earlier one."""

import os
from pathlib import Path

import pytest

from deploy.command.sources import Source, Stat
from deploy.command.state import State, state_path

SOURCE, STAT = Source(id="/x/talk.wav", name="talk.wav"), Stat(10, 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return state_path({"XDG_STATE_HOME": str(tmp_path)})


def test_work_in_progress_is_found_by_the_next_run(path: Path) -> None:
    state = State(path)
    work = state.work("http://a", SOURCE, STAT, b"{}")
    work.upload, work.job_id = "upload", "job"
    state.save(work)
    state.close()

    assert State(path).work("http://a", SOURCE, STAT, b"{}") == work


@pytest.mark.parametrize(
    ("url", "source", "stat", "options"),
    [
        ("http://b", SOURCE, STAT, b"{}"),
        ("http://a", Source(id="/y/talk.wav", name="talk.wav"), STAT, b"{}"),
        ("http://a", SOURCE, Stat(10, 21), b"{}"),
        ("http://a", SOURCE, STAT, b'{"task":"translate"}'),
    ],
)
def test_other_work_has_another_key(path: Path, url: str, source: Source, stat: Stat, options: bytes) -> None:
    state = State(path)

    assert state.work("http://a", SOURCE, STAT, b"{}").id != state.work(url, source, stat, options).id


def test_work_that_ended_or_failed_begins_again_with_another_key(path: Path) -> None:
    state = State(path)
    first = state.work("http://a", SOURCE, STAT, b"{}")
    renewed = state.renewed(first)
    assert state.work("http://a", SOURCE, STAT, b"{}") == renewed != first

    state.forget(renewed)

    assert state.work("http://a", SOURCE, STAT, b"{}").idempotency_key not in {
        first.idempotency_key,
        renewed.idempotency_key,
    }


def test_any_file_name_can_be_remembered(path: Path) -> None:
    odd = os.fsdecode(b"/x/\xff.wav")
    state = State(path)
    source = Source(id=odd, name="odd")

    state.save_output(Path(odd), source, STAT)
    known = state.output(Path(odd))

    assert known is not None
    assert known.is_of(source)
    assert known.stat == STAT
    assert state.work("http://a", source, STAT, b"{}").id


def test_only_the_user_can_read_it(path: Path) -> None:
    State(path).close()

    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
