"""`python -m ingest_service.auth`: the operator makes and revokes API keys, with HEADRACE_DATABASE_URL set.

Only here are tenants made: by the first key of theirs. The key alone goes to standard output.
"""

import argparse
import asyncio
import os
import sys
from typing import Any

import asyncpg
import msgspec

from ingest_service.auth.keys import NewApiKey, create_key, id_in, is_key_id
from ingest_service.database import AWAY, CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S, begun
from ingest_service.errors import RefusedError
from shared.connections.tenancy import ALL_TENANTS

MAKE_TENANT = "INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING"
REVOKE = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING tenant"


class CannotError(Exception):
    """One line for the operator."""


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    chosen = _parser().parse_args(arguments)
    database_url = os.environ.get("HEADRACE_DATABASE_URL")
    try:
        if not database_url:
            raise CannotError("HEADRACE_DATABASE_URL is not set")
        asyncio.run(chosen.command(database_url, chosen))
    except (CannotError, RefusedError) as error:
        _say(error.detail if isinstance(error, RefusedError) else str(error))
        return 1
    return 0


async def create(database_url: str, chosen: argparse.Namespace) -> None:
    """Make the tenant, if it is new, and a key of its."""
    wanted = _wanted(chosen)
    connection = await _connect(database_url)
    try:
        async with begun(connection, ALL_TENANTS):
            await connection.execute(MAKE_TENANT, chosen.tenant)
            made = await create_key(connection, chosen.tenant, wanted)
    except asyncpg.CheckViolationError:
        raise CannotError("a tenant's name has small letters, digits, `.`, `_` and `-`, 63 at most") from None
    finally:
        await connection.close()
    until = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    _say(f"key {made.key_id} of tenant {chosen.tenant}, for {', '.join(made.scopes)}{until}. It is shown this once:")
    print(made.key, flush=True)  # noqa: T201 - it is asked for


async def revoke(database_url: str, chosen: argparse.Namespace) -> None:
    """End a key, named by its id or by itself."""
    key_id = id_in(chosen.key.encode()) or chosen.key
    if not is_key_id(key_id):
        raise CannotError("there is no such key")
    connection = await _connect(database_url)
    try:
        async with begun(connection, ALL_TENANTS):
            tenant = await connection.fetchval(REVOKE, key_id)
    finally:
        await connection.close()
    if tenant is None:
        raise CannotError("there is no such key")
    _say(f"revoked: key {key_id} of tenant {tenant}")


def _wanted(chosen: argparse.Namespace) -> NewApiKey:
    values: dict[str, Any] = {"scopes": [scope.strip() for scope in chosen.scopes.split(",")]}
    values |= {"purpose": chosen.purpose} if chosen.purpose else {}
    values |= {"expires_days": chosen.expires_days} if chosen.expires_days else {}
    try:
        return msgspec.convert(values, NewApiKey, strict=False)
    except msgspec.ValidationError as error:
        raise CannotError(f"a key cannot be like that: {error}") from None


async def _connect(database_url: str) -> Any:
    try:
        return await asyncpg.connect(
            database_url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            statement_cache_size=0,  # a pooler may stand before it
        )
    except (*AWAY, asyncpg.PostgresError, ValueError) as error:
        raise CannotError(f"cannot connect to the database: {type(error).__name__}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest_service.auth")
    commands = parser.add_subparsers(required=True)
    creating = commands.add_parser("create", help="make an API key, and its tenant if that is new")
    creating.add_argument("--tenant", required=True)
    creating.add_argument("--scopes", required=True, help="of submit, read and admin, with commas")
    creating.add_argument("--purpose", default="", help="a word for what it is for; two keys may live for each")
    creating.add_argument("--expires-days", default="", help="never, if not given")
    creating.set_defaults(command=create)
    revoking = commands.add_parser("revoke", help="end an API key at once")
    revoking.add_argument("key", help="its id, or the key")
    revoking.set_defaults(command=revoke)
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - one plain line for a person


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
