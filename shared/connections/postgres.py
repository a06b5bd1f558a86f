"""What may stand between a service and Postgres, and what follows from it for a connection.

A pooler that hands its connections out by transactions gives the next one to whoever comes next: statements prepared by
name may be missing there, or be another client's of the same name. One that nobody named is found out and refused.
"""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

# What is wrong with the URL of a Postgres, before anybody connects: asyncpg would say so at the first connection.

SCHEMES = frozenset({"postgresql", "postgres"})
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def why_no_database(setting: str, url: str) -> str:
    """What is wrong with a setting, without a word of what is secret; empty: nothing, or it is not set."""
    problem = _problem(url) if url else ""
    return f"{setting} is invalid: {problem}" if problem else ""


def _problem(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # which repeats what it was given
        return "it is no URL"
    if parts.scheme not in SCHEMES:
        return "it must begin with postgresql://"
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = query.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        return f"its sslmode must be one of {', '.join(SSL_MODES)}"
    if mode.startswith("verify") and "sslrootcert" not in query:
        return f"sslmode={mode} needs sslrootcert=<file of the CA>"
    missing = [f"{name}={query[name]}" for name in FILES if name in query and not Path(query[name]).is_file()]
    return f"there is no file {missing[0]}" if missing else ""


# What Postgres is told as a session begins: to notice within about ten seconds that the machine at its end is gone.
#
# A machine that loses its power or its link ends no connection. Left to itself the kernel keeps such a one for two
# hours, with all that its transaction has locked, so that nobody can rescue the tasks it was writing to. Lines of TCP
# only.

SILENCE_S = 5  # then the kernel asks
ASK_EVERY_S, QUESTIONS = 2, 3
UNACKNOWLEDGED_MS = 10_000  # the longest that something sent may go without an answer from the other kernel

NOTICE_DEAD_CLIENTS = f"""
    SET tcp_keepalives_idle = {SILENCE_S}; SET tcp_keepalives_interval = {ASK_EVERY_S};
    SET tcp_keepalives_count = {QUESTIONS}; SET tcp_user_timeout = {UNACKNOWLEDGED_MS}
"""


Pooler = Literal["none", "session", "transaction", "transaction-prepared"]

PREPARED_STATEMENTS = 100  # that a connection keeps
WHO_SERVES = "SELECT pg_backend_pid()"


class PoolerFoundError(ConnectionError):
    """A connection was made to something that is not Postgres itself."""


def keeps_session(pooler: Pooler) -> bool:
    """Whether all that a connection is told meets the same session: LISTEN needs that."""
    return pooler in {"none", "session"}


def connection_options(pooler: Pooler) -> dict[str, Any]:
    """For `asyncpg.create_pool`; with `none` its connections raise PoolerFoundError where a pooler answers."""
    return {
        "statement_cache_size": 0 if pooler == "transaction" else PREPARED_STATEMENTS,
        "init": begin_session if pooler == "none" else None,
    }


async def refuse_poolers(connection: Any) -> None:
    """Raise PoolerFoundError unless the process that answers is the one that the connection was promised."""
    question = await connection.prepare(WHO_SERVES, name="")  # without a name it is left with nobody
    if await question.fetchval() != connection.get_server_pid():
        raise PoolerFoundError(
            "a pooler answers in the place of PostgreSQL: say in HEADRACE_DATABASE_POOLER which kind"
        )


async def begin_session(connection: Any) -> None:
    """On a connection to Postgres itself: see that it is one (PoolerFoundError), have it notice when we are gone."""
    await refuse_poolers(connection)
    await connection.execute(NOTICE_DEAD_CLIENTS)
