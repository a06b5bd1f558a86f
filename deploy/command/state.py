"""What the command remembers between its runs: work in progress, and which source an output is of.

One SQLite file of the user, safe for several commands at once. Work is remembered for as long as the service
remembers it.
"""

import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

from deploy.command.sources import Source, Stat

KEPT_S = 24 * 3600.0  # as the service keeps idempotency keys and unfinished uploads
LOCK_TIMEOUT_S = 30.0
TABLES = """
    CREATE TABLE IF NOT EXISTS work (id TEXT PRIMARY KEY, saved_at REAL NOT NULL, fields TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS outputs (base TEXT PRIMARY KEY, source TEXT NOT NULL, bytes INTEGER, mtime_ns INTEGER);
"""


class Work(msgspec.Struct):
    """One submission in progress. `upload`: the id of a resumable upload; `job_id`: of the job that it became."""

    id: str
    idempotency_key: str
    upload: str | None = None
    job_id: str | None = None


class Output(msgspec.Struct, frozen=True):
    """The source from which outputs were written, as it was then."""

    source: str
    stat: Stat | None

    def is_of(self, source: Source) -> bool:
        return self.source == _text(source.id)


class State:
    """The remembered facts. `path=None`: for this run only."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        self._database = sqlite3.connect(path or ":memory:", timeout=LOCK_TIMEOUT_S, isolation_level=None)
        self._database.executescript(TABLES)
        self._database.execute("DELETE FROM work WHERE saved_at < ?", (time.time() - KEPT_S,))

    def work(self, url: str, source: Source, stat: Stat | None, options: bytes) -> Work:
        """Return the work in progress on a source with these options, or new work."""
        facts = [url, _text(source.id), stat, options.decode()]
        work_id = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
        row = self._database.execute("SELECT fields FROM work WHERE id = ?", (work_id,)).fetchone()
        if row is not None:
            return msgspec.json.decode(row[0], type=Work)
        return self.renewed(Work(work_id, ""))

    def renewed(self, work: Work) -> Work:
        """Return new work in place of work that failed or is gone."""
        fresh = Work(work.id, f"headrace-command-{uuid.uuid4()}")
        self.save(fresh)
        return fresh

    def save(self, work: Work) -> None:
        """Remember how far the work is."""
        row = work.id, time.time(), msgspec.json.encode(work).decode()
        self._database.execute("INSERT OR REPLACE INTO work VALUES (?, ?, ?)", row)

    def forget(self, work: Work) -> None:
        """Forget work that ended."""
        self._database.execute("DELETE FROM work WHERE id = ?", (work.id,))

    def output(self, base: Path) -> Output | None:
        """Return what outputs with this path, without their endings, were written from."""
        query = "SELECT source, bytes, mtime_ns FROM outputs WHERE base = ?"
        row = self._database.execute(query, (_key(base),)).fetchone()
        if row is None:
            return None
        source, size, mtime_ns = row
        return Output(source, None if size is None else Stat(size, mtime_ns))

    def save_output(self, base: Path, source: Source, stat: Stat | None) -> None:
        """Remember what outputs were written from."""
        row = _key(base), _text(source.id), stat and stat.bytes, stat and stat.mtime_ns
        self._database.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        self._database.close()


def state_path(environ: Mapping[str, str]) -> Path:
    """Return the file of this user, by the rules of the XDG base directories."""
    root = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or "~", ".local", "state")  # noqa: PTH118 - expanded below
    return Path(root).expanduser() / "headrace" / "command.sqlite3"


def _key(base: Path) -> str:
    return _text(os.path.abspath(base))  # noqa: PTH100 - links stay


def _text(path: str) -> str:
    """Return a path as text that SQLite can store, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
