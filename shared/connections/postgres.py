"""What may stand between a service and Postgres, and what follows from it for a connection.

A pooler that hands its connections out by transactions gives the next one to whoever comes next: statements prepared by
name may be missing there, or be another client's of the same name. One that nobody named is found out and refused.
"""

from typing import Any, Literal

from shared.connections.dead_clients import NOTICE_DEAD_CLIENTS

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
