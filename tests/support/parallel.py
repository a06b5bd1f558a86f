"""Divide the tests among the processes of `make test`: tests that share a costly fixture run in one process.

Each process has its own PostgreSQL and Valkey, which start within a second, because tests cut connections, freeze a
backend and empty Valkey. All other shared fixtures (the stack, a bucket, an image, a model) exist once in a run.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import pytest
from _pytest.nodeid import NodeId

ONE_PER_PROCESS = ("postgres", "databases", "valkey")
BYTES_PER_PROCESS = 2 << 30

# With more processes than cores, spinning threads take time from working threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

Test = TypeVar("Test")
GROUP = re.compile(r"@[^]@]+$")  # the group at the end of a test's id


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`auto`: two per core, because tests wait half of the time. `logical`: one. Fewer if memory is small."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    per_core = 1 if config.option.numprocesses == "logical" else 2
    return max(1, min(per_core * (os.cpu_count() or 1), memory_bytes // BYTES_PER_PROCESS))


@pytest.hookimpl(wrapper=True)  # runs before all others: xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    shared = {item: list(shared_by(item)) for item in items}
    for item, group in groups_of(shared).items():
        _put(item, group)
    yield


def _put(item: pytest.Item, group: str) -> None:
    """Mark a test for xdist. xdist reads the group from the end of the test's id, which it cannot write in pytest 9.2.

    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    item.add_marker(pytest.mark.xdist_group(group))
    if "PYTEST_XDIST_WORKER" in os.environ:
        item._id = NodeId.parse(f"{item.nodeid}@{group}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remove the group from the test names in the results, so that they can be copied."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        report.nodeid = GROUP.sub("", report.nodeid)


def shared_by(item: pytest.Item) -> Iterator[str]:
    """Yield the names of a test's fixtures with a wider scope, and the names in its marks `shares`."""
    for mark in item.iter_markers("shares"):
        yield from mark.args
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    for name, (*_, definition) in fixtures.items():
        ours = definition.func.__module__.startswith("tests.") and name not in ONE_PER_PROCESS
        if ours and definition.scope != "function":
            yield name if definition.scope == "session" else f"{item.path.stem}.{name}"


def groups_of(shared: Mapping[Test, Sequence[str]]) -> dict[Test, str]:
    """Return the group of each test that shares anything. Tests that are connected, also indirectly, form one group."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while name in parents:
            name = parents[name]
        return name

    for names in shared.values():
        first, *others = sorted(set(map(root, names))) or [""]
        parents |= dict.fromkeys(others, first)
    return {test: root(names[0]) for test, names in shared.items() if names}
