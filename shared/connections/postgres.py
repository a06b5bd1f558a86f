"""Connections to PostgreSQL, directly or through a pooler.

A pooler in transaction mode gives each transaction another connection: named prepared statements may be missing there,
or be another client's of the same name. A pooler that the settings do not name is detected and refused.
"""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

SCHEMES = frozenset({"postgresql", "postgres"})
HOSTS_WANTED = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def why_no_database(setting: str, url: str) -> str:
    """Return what is wrong with a URL, without any secret; empty when it is valid or not set.

    asyncpg would report it only at the first connection.
    """
    problem = _problem(url) if url else ""
    return f"{setting} is invalid: {problem}" if problem else ""


def _problem(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # its message repeats the URL
        return "not a URL"
    if parts.scheme not in SCHEMES:
        return "it must start with postgresql://"
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = query.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        return f"sslmode must be one of {', '.join(SSL_MODES)}"
    if query.get("target_session_attrs", "any") not in HOSTS_WANTED:
        return f"target_session_attrs must be one of {', '.join(HOSTS_WANTED)}"
    if mode.startswith("verify") and "sslrootcert" not in query:
        return f"sslmode={mode} needs sslrootcert=<file of the CA>"
    missing = [f"{name}={query[name]}" for name in FILES if name in query and not Path(query[name]).is_file()]
    return f"file not found: {missing[0]}" if missing else ""


# Make PostgreSQL notice within about ten seconds that the client's machine is gone. TCP connections only.
#
# A machine that loses power or its network does not close connections. By default the kernel keeps one for two hours,
# with the locks of its transaction, and the tasks that it was writing to cannot be rescued.

IDLE_S = 5  # before the first keepalive probe
PROBE_INTERVAL_S, PROBES = 2, 3
UNACKNOWLEDGED_MS = 10_000  # the longest that sent data may stay unacknowledged

NOTICE_DEAD_CLIENTS = f"""
    SET tcp_keepalives_idle = {IDLE_S}; SET tcp_keepalives_interval = {PROBE_INTERVAL_S};
    SET tcp_keepalives_count = {PROBES}; SET tcp_user_timeout = {UNACKNOWLEDGED_MS}
"""


Pooler = Literal["none", "session", "transaction", "transaction-prepared"]

PREPARED_STATEMENTS = 100  # cached by each connection
BACKEND_PID = "SELECT pg_backend_pid()"


class PoolerFoundError(ConnectionError):
    """A pooler answered where the settings name none."""


def keeps_session(pooler: Pooler) -> bool:
    """Whether a connection keeps its session, as LISTEN needs."""
    return pooler in {"none", "session"}


def connection_options(pooler: Pooler) -> dict[str, Any]:
    """Return options for `asyncpg.create_pool`. With `none`, they raise PoolerFoundError when a pooler answers."""
    return {
        "statement_cache_size": 0 if pooler == "transaction" else PREPARED_STATEMENTS,
        "init": begin_session if pooler == "none" else None,
    }


async def refuse_poolers(connection: Any) -> None:
    """Raise PoolerFoundError unless the backend that answers is the one that the connection was opened to."""
    question = await connection.prepare(BACKEND_PID, name="")  # unnamed: it stays in no session
    if await question.fetchval() != connection.get_server_pid():
        raise PoolerFoundError("a pooler answers instead of PostgreSQL: set HEADRACE_DATABASE_POOLER to its kind")


async def begin_session(connection: Any) -> None:
    """Prepare a direct connection: refuse poolers (PoolerFoundError), make the server notice a dead client."""
    await refuse_poolers(connection)
    await connection.execute(NOTICE_DEAD_CLIENTS)
