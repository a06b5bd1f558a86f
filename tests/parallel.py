"""How `make test` divides the tests among processes: tests that share a costly fixture run in one process.

Each process has a PostgreSQL and a Valkey of its own, which start in a second: tests cut connections, freeze a backend,
empty Valkey. All other fixtures that outlive a test (the stack, a bucket, an image, a model) exist once in a run.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import pytest
from _pytest.nodeid import NodeId

ONE_PER_PROCESS = ("postgres", "valkey")
BYTES_PER_PROCESS = 2 << 30

# With more processes than cores, threads that spin while they wait take the time of those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

Test = TypeVar("Test")
GROUP = re.compile(r"@[^]@]+$")  # at the end of the id of a test that has one


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`auto`: two per core, because tests wait for half of their time; `logical`: one. Fewer if the memory is small."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    per_core = 1 if config.option.numprocesses == "logical" else 2
    return max(1, min(per_core * (os.cpu_count() or 1), memory_bytes // BYTES_PER_PROCESS))


@pytest.hookimpl(wrapper=True)  # ahead of all others: xdist reads the marks in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    shared = {item: list(shared_by(item)) for item in items}
    for item, group in groups_of(shared).items():
        _put(item, group)
    yield


def _put(item: pytest.Item, group: str) -> None:
    """Mark a test for xdist, which sends groups by the end of a test's id, and cannot write that in pytest 9.2.

    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    item.add_marker(pytest.mark.xdist_group(group))
    if "PYTEST_XDIST_WORKER" in os.environ:
        item._id = NodeId.parse(f"{item.nodeid}@{group}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Where results are shown, name a test as it can be run again: without its group."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        report.nodeid = GROUP.sub("", report.nodeid)


def shared_by(item: pytest.Item) -> Iterator[str]:
    """What a test shares with others: its fixtures that outlive it, and the names in its marks `shares`."""
    for mark in item.iter_markers("shares"):
        yield from mark.args
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    for name, (*_, definition) in fixtures.items():
        ours = definition.func.__module__.startswith("tests.") and name not in ONE_PER_PROCESS
        if ours and definition.scope != "function":
            yield name if definition.scope == "session" else f"{item.path.stem}.{name}"


def groups_of(shared: Mapping[Test, Sequence[str]]) -> dict[Test, str]:
    """The group of each test that shares anything: whatever connects two tests, directly or not, puts them together."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while name in parents:
            name = parents[name]
        return name

    for names in shared.values():
        first, *others = sorted(set(map(root, names))) or [""]
        parents |= dict.fromkeys(others, first)
    return {test: root(names[0]) for test, names in shared.items() if names}
