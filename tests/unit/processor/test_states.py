"""Every SQL statement that changes the state of a job or task makes only transitions of the tables, and all of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.schemas.states import (
    JOB_TERMINAL,
    JOB_TRANSITIONS,
    TASK_TERMINAL,
    TASK_TRANSITIONS,
    JobStatus,
    TaskState,
)

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ("ingest_service", "processor_service", "shared")
UPDATE = re.compile(r"\bUPDATE (?P<table>jobs|tasks)\b(?P<body>.*?)(?=\bUPDATE (?:jobs|tasks)\b|\Z)", re.DOTALL)
NEW = re.compile(r"\b(?:state|status) = (?:'(?P<value>\w+)'|\$\d+)")
OLD = re.compile(r"\b(?:state|status) (?:= '(?P<one>\w+)'|IN \((?P<several>[^)]*)\))")
# The values of statements whose new state is a parameter: the callers of these functions name them.
CALLS = {
    "tasks": re.compile(r"\bLeaving\(TaskState\.(\w+)"),
    "jobs": re.compile(r"\bend_job\([^)]*?JobStatus\.(\w+)"),
}

Transition = tuple[str, str]


def test_the_statements_make_exactly_the_transitions_of_the_tables() -> None:
    found: dict[str, set[Transition]] = {"jobs": set(), "tasks": set()}
    callers = "".join(path.read_text() for service in SERVICES for path in sorted((ROOT / service).rglob("*.py")))
    for table, statement in _updates():
        found[table] |= _transitions(table, callers, statement)

    assert found["tasks"] == {(old, new) for old, ends in TASK_TRANSITIONS.items() for new in ends}
    assert found["jobs"] == {(old, new) for old, ends in JOB_TRANSITIONS.items() for new in ends}


def test_terminal_states_change_only_to_a_new_generation() -> None:
    assert {state for state, ends in TASK_TRANSITIONS.items() if not ends} == TASK_TERMINAL
    for state in JOB_TERMINAL:
        assert JOB_TRANSITIONS[state] == {JobStatus.QUEUED}


def test_every_state_has_its_transitions() -> None:
    assert (set(TASK_TRANSITIONS), set(JOB_TRANSITIONS)) == (set(TaskState), set(JobStatus))


def _updates() -> Iterator[tuple[str, str]]:
    """The table and the text of each UPDATE that sets a state."""
    for service in SERVICES:
        for path in sorted((ROOT / service).rglob("*.py")):
            for text in _strings(ast.parse(path.read_text())):
                for update in UPDATE.finditer(text):
                    if NEW.search(_set_clause(update["body"])):
                        yield update["table"], update["body"]


def _strings(tree: ast.AST) -> Iterator[str]:
    """The string constants of a module; of f-strings all constant parts together."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def _set_clause(body: str) -> str:
    return body.partition("WHERE")[0]


def _transitions(table: str, callers: str, body: str) -> set[Transition]:
    new = NEW.search(_set_clause(body))
    assert new
    values = {new["value"]} if new["value"] else _parameters(table, callers)
    olds = {value for old in OLD.finditer(body.partition("WHERE")[2]) for value in _values(old)}
    assert values, f"No caller names the new state of: UPDATE {table}{body}"
    assert olds, f"No old state is compared in: UPDATE {table}{body}"
    return {(old, value) for old in olds for value in values}


def _parameters(table: str, source: str) -> set[str]:
    enum = TaskState if table == "tasks" else JobStatus
    return {str(enum[name]) for name in CALLS[table].findall(source)}


def _values(old: re.Match[str]) -> list[str]:
    return [old["one"]] if old["one"] else re.findall(r"'(\w+)'", old["several"])
