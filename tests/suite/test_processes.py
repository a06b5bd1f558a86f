"""Which tests may start a process."""

import os
import subprocess
import sys

import pytest

NOTHING = [sys.executable, "-c", ""]


def test_without_the_mark_none_can_be_started() -> None:
    with pytest.raises(RuntimeError, match=r"mark it with pytest\.mark\.process"):
        subprocess.run(NOTHING, check=True)
    with pytest.raises(RuntimeError, match=r"os\.posix_spawn"):
        os.posix_spawn(sys.executable, NOTHING, {})


@pytest.mark.process
def test_with_the_mark_it_is_started() -> None:
    subprocess.run(NOTHING, check=True)


@pytest.mark.usefixtures("valkey")
def test_a_server_among_the_fixtures_is_a_mark(request: pytest.FixtureRequest) -> None:
    assert isinstance(request.node, pytest.Item)
    assert request.node.get_closest_marker("process") is not None
