"""All SQL statements of a service, found in its modules."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from uuid import UUID

import msgspec

import ingest_service
import processor_service
import shared
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.find import count_statement, find_statement
from ingest_service.jobs.queries import newest_jobs
from shared.schemas.states import JobStatus

STATEMENT = re.compile(r"\s*(WITH\s|SELECT\s|INSERT\s+INTO\s|UPDATE\s|DELETE\s+FROM\s|MERGE\s)")
# The functions that write statements, with all that they can write.
BUILDERS = {newest_jobs.__name__, find_statement.__name__, count_statement.__name__, "_select"}
FILTER = JobFilter(
    status=tuple(JobStatus),
    filename="a",
    metadata_key="k",
    min_speakers=1,
    warning="quiet",
    code="timeout",
    job_ids=(UUID(int=0),),
)
FILTERS = (JobFilter(), FILTER, msgspec.structs.replace(FILTER, job_ids=None))
BUILT: dict[str, dict[str, str]] = {
    "ingest": {
        **{f"newest_jobs({status})": newest_jobs(status) for status in (None, *JobStatus)},
        **{f"find_statement({number})": find_statement(wanted, 1)[0] for number, wanted in enumerate(FILTERS)},
        **{f"count_statement({number})": count_statement(wanted)[0] for number, wanted in enumerate(FILTERS)},
    },
    "processor": {},
}
PACKAGES = {"ingest": ingest_service, "processor": processor_service}


def statements_of(service: str) -> dict[str, str]:
    """Return the statements of a service by `module.CONSTANT`, with those of the shared modules that it imports."""
    modules = list(_modules(PACKAGES[service]))
    used = {name for module in modules for name in _imported(module)}
    modules += [module for module in _modules(shared) if module.__name__ in used]
    return BUILT[service] | {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, str) and not name.startswith("__") and STATEMENT.match(value)
    }


def statements_in_functions(service: str) -> set[str]:
    """Return `module:line` of each statement that a function writes, which `statements_of` does not find."""
    return {
        f"{module.__name__}:{node.lineno}"
        for module in (*_modules(PACKAGES[service]), *_modules(shared))
        for function in ast.walk(_tree(module))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name not in BUILDERS
        for node in ast.walk(function)
        if isinstance(node, ast.expr)
        if (text := _text(node)) and STATEMENT.match(text) and " FROM " in f"{text} "
    }


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def _imported(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("shared"):
            yield node.module


def _tree(module: ModuleType) -> ast.Module:
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text())
