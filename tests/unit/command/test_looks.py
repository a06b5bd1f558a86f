"""A watched file is taken once it is complete, and again when it changes."""

from pathlib import Path

from deploy.command.sources import Source, Stat
from deploy.command.watch import Looks

FILE = Source(id="/x/a.wav", name="a.wav", path=Path("/x/a.wav"))
URL = Source(id="https://a.example/x", name="x")


def taken(looks: Looks, *found: tuple[Source, Stat | None]) -> list[Source]:
    return looks.complete(found)


def test_a_file_is_complete_when_two_looks_find_the_same() -> None:
    looks = Looks()

    assert taken(looks, (FILE, Stat(1, 1))) == []
    assert taken(looks, (FILE, Stat(2, 2))) == []
    assert taken(looks, (FILE, Stat(2, 2))) == [FILE]
    assert taken(looks, (FILE, Stat(2, 2))) == []


def test_a_changed_file_is_taken_again_when_it_is_complete() -> None:
    looks = Looks()
    for _ in range(2):
        taken(looks, (FILE, Stat(1, 1)))

    assert taken(looks, (FILE, Stat(3, 3))) == []
    assert taken(looks, (FILE, Stat(3, 3))) == [FILE]


def test_a_file_that_went_and_came_again_is_taken_again() -> None:
    looks = Looks()
    for _ in range(2):
        taken(looks, (FILE, Stat(1, 1)))
    taken(looks)

    assert taken(looks, (FILE, Stat(1, 1))) == []
    assert taken(looks, (FILE, Stat(1, 1))) == [FILE]


def test_a_url_is_complete_at_once() -> None:
    looks = Looks()

    assert taken(looks, (URL, None)) == [URL]
    assert taken(looks, (URL, None)) == []
