"""A watched file is taken once it has rested, and again when it changes."""

import msgspec

from deploy.command.watcher.places import Entry
from deploy.command.watcher.settling import Settling

FILE = Entry("a.wav", 1, "1", "1", 1.0)
GROWN = msgspec.structs.replace(FILE, bytes=2, stamp="2", touched="2")
READABLE = msgspec.structs.replace(FILE, touched="3")


def test_a_file_is_ready_when_it_has_not_changed_for_the_whole_time() -> None:
    settling = Settling(5.0)

    assert settling.ready([FILE], 0.0, []) == []
    assert settling.ready([GROWN], 4.0, []) == []
    assert settling.ready([GROWN], 8.9, []) == []
    assert settling.ready([GROWN], 9.0, []) == [GROWN]


def test_a_file_in_work_is_not_taken_again() -> None:
    settling = Settling(0.0)

    assert settling.ready([FILE], 0.0, [FILE.path]) == []
    assert not settling.is_idle


def test_a_file_that_ended_is_taken_again_when_it_changes() -> None:
    settling = Settling(0.0)
    assert settling.ready([FILE], 0.0, []) == [FILE]
    settling.end(FILE)

    assert settling.ready([FILE], 1.0, []) == []
    assert settling.is_idle
    assert settling.ready([GROWN], 2.0, []) == [GROWN]
    assert not settling.is_idle


def test_a_file_is_looked_at_again_when_its_permissions_change() -> None:
    settling = Settling(0.0)
    settling.ready([FILE], 0.0, [])
    settling.end(FILE)

    assert settling.ready([READABLE], 1.0, []) == [READABLE]
    assert READABLE.version == FILE.version


def test_files_that_are_gone_are_forgotten() -> None:
    settling = Settling(0.0)
    settling.ready([FILE], 0.0, [])
    settling.end(FILE)

    assert settling.ready([], 1.0, []) == []
    assert settling.ready([FILE], 2.0, []) == [FILE]
