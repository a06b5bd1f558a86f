"""Mark the tests that start a process (a server, a service, a child process, a command): `make test-fast` skips them.

Tests with a server among their fixtures are marked here. Other tests have the mark `process` in their file. A test
without the mark cannot start a process. A process that prepares a model needs the mark, too.
"""

import sys
from collections.abc import Generator, Iterator

import pytest

from tests.support.parallel import shared_by

SERVERS = frozenset({"postgres", "valkey", "seaweedfs", "azurite", "valkey_port", "stack", "browser"})
STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty"})  # audit events of Python
_running: list[pytest.Item] = []


def pytest_configure() -> None:
    sys.addaudithook(_refuse_unmarked)


@pytest.hookimpl(wrapper=True)  # runs before all others: -m selects in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if not SERVERS.isdisjoint([*getattr(item, "fixturenames", ()), *shared_by(item)]):
            item.add_marker(pytest.mark.process)
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _running.append(item)
    try:
        return (yield)
    finally:
        _running.clear()


def _refuse_unmarked(event: str, _: object) -> None:
    if event in STARTS and _running and _running[0].get_closest_marker("process") is None:
        raise RuntimeError(f"{_running[0].nodeid} starts a process ({event}): mark it with pytest.mark.process")
