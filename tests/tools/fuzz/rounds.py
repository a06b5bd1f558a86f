"""A pytest plugin: selects the property tests and runs them in rounds, each with a new seed."""

import re
import time
from collections import deque
from typing import Any

import pytest

FOUND = re.compile(r"^Failing (?:test case|explicit example): \w+\(\n(.*)\n\)$", re.DOTALL)
CURL = re.compile(r"^\s*(curl -X .*)$", re.MULTILINE)  # how schemathesis prints a request


class Rounds:
    """Runs property tests until the time is over, each at least once. `finds`: failing examples to copy."""

    def __init__(self, seed: int, until_s: float) -> None:
        self._seed = seed
        self._until_s = until_s
        self._failed = False
        self.finds: list[str] = []
        self.runs = 0
        self.properties = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Select Hypothesis tests, and tests marked `fuzz`, which generate their examples differently."""
        items[:] = [item for item in items if _is_hypothesis(item) or item.get_closest_marker("fuzz")]
        self.properties = len(items)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Replaces pytest's loop. Tests that failed or are marked are not repeated."""
        queue = deque(session.items)
        while queue and (self.runs < self.properties or time.monotonic() < self._until_s):
            item = queue.popleft()
            self._failed = False
            self._run(item, queue[0] if queue else item)
            if _is_hypothesis(item) and not self._failed:
                queue.append(item)
        return True

    def _run(self, item: pytest.Item, following: pytest.Item) -> None:
        if _is_hypothesis(item):
            import hypothesis  # late: pytest must rewrite it first, when it loads it as a plugin

            hypothesis.seed(self._seed + self.runs)(_function(item))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        self.runs += 1

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Collect the failing examples."""
        if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            self._failed = True
            hidden = getattr(item, "fixturenames", [])
            lines = as_lines(call.excinfo.value, hidden) or [f"@seed({self._seed + self.runs})"]
            self.finds += [f"{item.nodeid}: {line}" for line in lines]


def as_lines(error: BaseException, hidden: list[str]) -> list[str]:
    """An exception's examples as decorators; for schemathesis, the requests. `hidden`: fixtures."""
    if requests := CURL.findall(str(error)):
        return list(dict.fromkeys(requests))
    found = [match[1] for note in getattr(error, "__notes__", []) if (match := FOUND.match(note))]
    return [f"@example({_arguments(text, hidden)})" for text in found if "=data(" not in text]


def _arguments(text: str, hidden: list[str]) -> str:
    kept = re.sub(rf"^    (?:{'|'.join(hidden) or '$'})=.*\n?", "", text, flags=re.MULTILINE)
    return " ".join(line.strip() for line in kept.splitlines()).removesuffix(",")


def _function(item: pytest.Item) -> Any:
    return getattr(item, "function", None)


def _is_hypothesis(item: pytest.Item) -> bool:
    return bool(getattr(_function(item), "is_hypothesis_test", False))
