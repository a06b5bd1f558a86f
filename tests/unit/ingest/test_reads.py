"""Every read of the ingest may run on a replica, or is listed here with the reason why the primary must answer."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.stack.launched import ROOT

INGEST = ROOT / "ingest_service"

CHANGED_NEXT = "the rows are changed next"
UPLOAD = "an upload depends on it"
PRIMARY = {
    "auth/key_cache.py": {"find_keys": "a revocation holds at once, and while the replica is lost"},
    "database.py": {"read": "the database without a replica"},
    "jobs/bulk.py": {"change_jobs": CHANGED_NEXT},
    "jobs/dead_letters.py": {"discard_dead_letters": CHANGED_NEXT, "owner_of": CHANGED_NEXT},
    "jobs/redrive.py": {"_jobs_with_dead_letters": CHANGED_NEXT},
    "quotas/quota_usage.py": {"_read": UPLOAD},
    "replica.py": {"_read_replica": "the replica itself"},
    "jobs/vocabulary.py": {"read_vocabulary": "a client sees what it has written"},
    "routes/keys.py": {"list_api_keys": "an operator sees what authentication sees"},
    "tus/upload_rows.py": {"get": UPLOAD, "job_is_committed": UPLOAD, "parts": UPLOAD},
    "uploads/attach.py": {"may_attach": UPLOAD},
    "uploads/idempotency.py": {"claim": UPLOAD},
    "uploads/presigned_uploads.py": {"require_upload": UPLOAD},
}


def functions_that_call(tree: ast.AST, method: str, receivers: set[str]) -> Iterator[str]:
    """Yield the functions with a call of a method of objects with these names."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any(is_call(node, method, receivers) for node in ast.walk(function)):
            yield function.name


def is_call(node: ast.AST, method: str, receivers: set[str]) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
        return False
    receiver = node.func.value
    return (receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")) in receivers


def callers(method: str, *receivers: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(INGEST.rglob("*.py")):
        if names := set(functions_that_call(ast.parse(path.read_text()), method, set(receivers))):
            found[str(path.relative_to(INGEST))] = names
    return found


def test_every_read_on_the_primary_has_a_reason() -> None:
    found = callers("reading", "database", "_database", "self", "replica")

    assert found == {path: set(functions) for path, functions in PRIMARY.items()}


def test_the_reads_of_clients_may_run_on_a_replica() -> None:
    found = callers("read", "database", "_database")

    assert set(found) == {
        "jobs/backlog.py",
        "jobs/dead_letters.py",
        "jobs/events.py",
        "jobs/full_text.py",
        "jobs/queries.py",
        "jobs/tenant_watcher.py",
        "jobs/transcript_edits.py",
        "jobs/voices.py",
        "jobs/wait_estimate.py",
        "jobs/webhook_endpoints.py",
        "jobs/webhook_log.py",
        "jobs/webhook_tests.py",
        "jobs/webhooks.py",
        "jobs/work.py",
        "routes/usage.py",
        "services.py",
    }
    assert not {"auth", "quotas", "uploads", "tus"} & {Path(path).parts[0] for path in found}
