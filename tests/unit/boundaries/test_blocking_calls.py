"""No coroutine of the ingest blocks the event loop, and none waits for the threads that everything shares."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
PACKAGES = ("ingest_service", "shared")

BLOCKING = re.compile(
    r"(open|time\.sleep|input|socket\.(getaddrinfo|gethostbyname|create_connection)|select\.select"
    r"|os\.(stat|lstat|statvfs|listdir|scandir|walk|open|read|write|fsync|unlink|remove|rename|replace|mkdir|makedirs|rmdir)"
    r"|shutil\.\w+|subprocess\.\w+|urllib\.request\.\w+|requests\.\w+"
    r"|.*\.(read_text|read_bytes|write_text|write_bytes|unlink|mkdir|rmdir|glob|rglob|stat|iterdir|touch|is_file|is_dir)"
    r"|(?!.*(obstore|asyncio)).*(path|file|folder)\w*\.open)"
)
# Coroutine → why it may block.
ALLOWED = {
    "shared/blobs/blob_store.py put_small": "a write to the disk's cache costs less than a thread",
    "shared/blobs/blob_store.py _sync": "removes a blob whose sync failed",
    "shared/blobs/blob_store.py _admitted": "only the processor stores files by path",
    "shared/blobs/blob_store.py download": "only the processor calls it",
    "shared/blobs/blob_store.py scan": "makes a generator; a thread reads the folders",
    "ingest_service/jobs/renders.py get": "short texts in scripts with spaces, which need no dictionary",
    "ingest_service/jobs/render_process.py run_render": "starts a process in 1 ms; the event loop would take 25",
    "ingest_service/services.py open_services": "reads certificates, before the first request",
}
FOR_TESTS = {"failpoint"}  # touches files only when a test orders a fault
# Coroutine → why it may use the shared threads.
SHARED_THREADS = {
    "ingest_service/alerts/reader.py _evaluate": "reads the rules once, and computes; no upload uses these threads",
    "ingest_service/routes/monitoring.py metrics_text": "reads metrics files; no upload uses these threads",
    "shared/blobs/blob_store.py download": "only the processor downloads files",
    "shared/blobs/blob_store.py scan": "only the processor searches for orphans",
    "shared/blobs/inventory.py pages": "only the processor searches for orphans",
    "shared/blobs/bucket.py _parts": "only the processor stores files",
}


class Function(NamedTuple):
    place: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def file(self) -> str:
        return self.place.partition(" ")[0]

    @property
    def calls(self) -> Iterator[str]:
        """The functions that it calls itself, without those of functions inside of it."""
        waiting: list[ast.AST] = list(ast.iter_child_nodes(self.node))
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func)
            waiting += ast.iter_child_nodes(node)


def functions() -> list[Function]:
    """All functions, without synchronous ones inside of others."""
    return [
        Function(f"{path.relative_to(ROOT)} {node.name}", node)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in _functions_in(ast.parse(path.read_text(encoding="utf-8")), is_inside=False)
    ]


def _functions_in(tree: ast.AST, *, is_inside: bool) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.iter_child_nodes(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.AsyncFunctionDef) or (isinstance(node, ast.FunctionDef) and not is_inside):
            yield node
        yield from _functions_in(node, is_inside=is_inside or is_function)


Names = set[tuple[str, str]]  # (file, name) of blocking functions; the file is empty if all functions of the name block


def blocking_names(found: list[Function]) -> Names:
    """Our synchronous functions that block, themselves or by what they call."""
    blocking: Names = set()
    while True:
        more = {
            (each.file, each.node.name)
            for each in found
            if isinstance(each.node, ast.FunctionDef)
            and each.node.name not in FOR_TESTS
            and any(blocks(call, each.file, blocking) for call in each.calls)
        }
        more |= {
            ("", name) for _, name in more if all((each.file, name) in more for each in found if each.node.name == name)
        }
        if more <= blocking:
            return blocking
        blocking |= more


def blocks(call: str, file: str, names: Names) -> bool:
    owner, _, name = call.rpartition(".")
    is_own = owner in {"", "self", "cls"} and (file, name) in names
    return bool(BLOCKING.fullmatch(call)) or is_own or (owner.partition(".")[0] != "asyncio" and ("", name) in names)


def test_no_coroutine_calls_what_blocks() -> None:
    found = functions()
    names = blocking_names(found)
    assert {("", name) for name in ("free_bytes", "write_whole", "sync", "sums")} <= names
    coroutines = [function for function in found if isinstance(function.node, ast.AsyncFunctionDef)]
    offending = {
        each.place: sorted(call for call in each.calls if blocks(call, each.file, names)) for each in coroutines
    }
    assert {place: calls for place, calls in offending.items() if calls and place not in ALLOWED} == {}
    assert {place for place in ALLOWED if not offending[place]} == set()


def test_uploads_do_not_use_the_shared_threads() -> None:
    shared = {
        function.place
        for function in functions()
        for node in ast.walk(function.node)
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func).endswith("to_thread")
            or (ast.unparse(node.func).endswith("run_in_executor") and ast.unparse(node.args[0]) == "None")
        )
    }
    assert shared == set(SHARED_THREADS)


def test_the_check_finds_blocking_calls() -> None:
    for call in ("open", "os.stat", "path.read_text", "socket.getaddrinfo", "time.sleep", "self._path.open"):
        assert BLOCKING.fullmatch(call), call
    for call in ("asyncio.sleep", "obstore.open_async", "loop.getaddrinfo", "Database.opened"):
        assert not BLOCKING.fullmatch(call), call
