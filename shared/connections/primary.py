"""Connect to the primary of a database, also when its URL names several hosts: `postgresql://…@db-1,db-2:5433/headrace`.

asyncpg asks the hosts of a URL in turn, within one timeout: one that does not answer hides those after it. Here all are
asked at once. Of several that accept writes, the one with the newest timeline is the primary: PostgreSQL begins a
timeline when it promotes a replica. A process that has seen a timeline refuses servers with older ones from then on.

Only this module imports asyncpg for the code in `shared`.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from shared.connections.postgres import IDLE_S, PROBE_INTERVAL_S, PROBES, UNACKNOWLEDGED_MS

OTHERS_S = 0.25  # how long the other hosts may answer after the first one that accepts writes
SILENT_S = 2.0  # and after the last one that does not
WRITABLE = "read-write"

TIMELINE = """
    SELECT system_identifier,
           CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END AS file
    FROM pg_control_system()
"""

_newest: dict[int, int] = {}  # the newest timeline that this process has seen, of each database cluster


class _Opened(NamedTuple):
    connection: Any
    cluster: int  # its system identifier; 0: unknown
    timeline: int


async def connect(url: str, **options: Any) -> Any:
    """Return a connection. `options` are those of `asyncpg.connect`, as are the errors.

    With several hosts, raise ConnectionError if none of them accepts writes.
    """
    hosts = urls_of_hosts(url)
    if len(hosts) == 1:
        connection = await asyncpg.connect(url, **options)
    else:
        connection = await _connect_to_primary(hosts, options)
    _notice_dead_server(connection)
    return connection


async def _connect_to_primary(hosts: Sequence[str], options: dict[str, Any]) -> Any:
    attempts = [asyncio.create_task(_open(host, options)) for host in hosts]
    chosen = None
    try:
        chosen = await _primary_of(attempts)
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda ended: _close_unless(ended, chosen))
    return chosen.connection


def _notice_dead_server(connection: Any) -> None:
    """Let a statement fail within about ten seconds of the loss of the server's machine, however long it may take."""
    end = connection._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no option for it
    if end is None or end.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):  # not on macOS
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_INTERVAL_S)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)


def urls_of_hosts(url: str) -> list[str]:
    """Return a URL for each host. Each of several must accept writes, unless `url` says what it wants."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    query = parts.query
    if "target_session_attrs" not in parse_qs(query):
        query = "&".join(filter(None, (query, f"target_session_attrs={WRITABLE}")))
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{host}", query=query)) for host in hosts.split(",")]


async def _open(url: str, options: dict[str, Any]) -> _Opened:
    connection = await asyncpg.connect(url, **options)
    try:
        return await _identified(connection)
    except BaseException:
        connection.terminate()
        raise


async def _identified(connection: Any) -> _Opened:
    """Raise ConnectionError if the server was replaced by a newer primary."""
    row = None
    with suppress(asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError):  # of a managed database
        question = await connection.prepare(TIMELINE, name="")  # unnamed: there may be a pooler
        row = await question.fetchrow()
    if row is None or row["file"] is None:
        return _Opened(connection, 0, 0)
    opened = _Opened(connection, row["system_identifier"], timeline_of(row["file"]))
    if opened.timeline < _newest.get(opened.cluster, 0):
        raise ConnectionError("the server was a primary, but another one was promoted")
    return opened


def timeline_of(log_file: str) -> int:
    """Return the timeline that the name of a file of the write-ahead log begins with."""
    return int(log_file[:8], 16)


async def _primary_of(attempts: Sequence[asyncio.Task[_Opened]]) -> _Opened:
    waiting, timeout_s = set(attempts), None
    while waiting:
        answered, waiting = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not answered:
            break
        timeout_s = OTHERS_S if _opened(attempts) else SILENT_S
    if not (opened := _opened(attempts)):
        raise _why_none([attempt.exception() if attempt.done() else TimeoutError() for attempt in attempts])
    primary = max(opened, key=lambda one: one.timeline)
    _newest[primary.cluster] = max(primary.timeline, _newest.get(primary.cluster, 0))
    return primary


def _opened(attempts: Sequence[asyncio.Task[_Opened]]) -> list[_Opened]:
    done = [attempt for attempt in attempts if attempt.done() and not attempt.cancelled()]
    return [attempt.result() for attempt in done if attempt.exception() is None]


def _why_none(errors: Sequence[BaseException | None]) -> BaseException:
    """Return a refusal that concerns us, such as a wrong password, before the fact that no host accepts writes."""
    for error in errors:
        if error and isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.CannotConnectNowError):
            return error
    reasons = "; ".join(f"{type(error).__name__}: {error}".removesuffix(": ") for error in errors)
    return ConnectionError(f"no host of the database accepts writes: {reasons}")


def _close_unless(ended: asyncio.Task[_Opened], chosen: _Opened | None) -> None:
    for opened in _opened([ended]):
        if opened is not chosen:
            opened.connection.terminate()
