"""Only marked tests can start a process."""

import os
import subprocess
import sys

import pytest

NO_OP = [sys.executable, "-c", ""]


def test_without_the_mark_no_process_starts() -> None:
    with pytest.raises(RuntimeError, match=r"mark it with pytest\.mark\.process"):
        subprocess.run(NO_OP, check=True)
    with pytest.raises(RuntimeError, match=r"os\.posix_spawn"):
        os.posix_spawn(sys.executable, NO_OP, {})


@pytest.mark.process
def test_with_the_mark_a_process_starts() -> None:
    subprocess.run(NO_OP, check=True)


@pytest.mark.usefixtures("valkey")
def test_a_server_among_the_fixtures_adds_the_mark(request: pytest.FixtureRequest) -> None:
    assert isinstance(request.node, pytest.Item)
    assert request.node.get_closest_marker("process") is not None
