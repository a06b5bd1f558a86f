"""`python -m ingest_service.auth`: creates and revokes API keys, rotates webhook secrets. Needs HEADRACE_DATABASE_URL.

The first key of a tenant creates the tenant and its webhook secret. Standard output receives the key, or the secret of
a rotation, alone.
"""

import argparse
import asyncio
import sys
from typing import Any

import asyncpg
import msgspec

from ingest_service.auth.api_keys import NewApiKey, create_key, id_in, is_key_id
from ingest_service.auth.caller import Scope
from ingest_service.auth.webhook_secrets import DAY_S, Rotation, rotate_secret
from ingest_service.database import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S, UNAVAILABLE, begun
from ingest_service.errors import RefusedError
from shared.allowed_values import why_refused
from shared.connections import primary
from shared.connections.tenancy import ALL_TENANTS
from shared.environment import take_environment

OPERATE = "operate"  # metrics, tracebacks and dead letters of the whole service, not of the tenant alone
CREATE_TENANT = "INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING"
REVOKE = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING tenant"


class CommandError(Exception):
    """An error message for the operator."""


def main(arguments: list[str]) -> int:
    """Run the command and return the exit status."""
    chosen = _parser().parse_args(arguments)
    database_url = take_environment().get("HEADRACE_DATABASE_URL")
    try:
        if not database_url:
            raise CommandError("HEADRACE_DATABASE_URL is not set")
        asyncio.run(chosen.command(database_url, chosen))
    except (CommandError, RefusedError) as error:
        _say(error.detail if isinstance(error, RefusedError) else str(error))
        return 1
    return 0


async def create(database_url: str, chosen: argparse.Namespace) -> None:
    """Create a key, and its tenant if it is new."""
    scopes = [scope.strip() for scope in chosen.scopes.split(",")]
    wanted = _wanted(chosen, [scope for scope in scopes if scope != OPERATE])
    connection = await _connect(database_url)
    try:
        async with begun(connection, ALL_TENANTS):
            is_new = await connection.execute(CREATE_TENANT, chosen.tenant) == "INSERT 0 1"
            made = await create_key(connection, chosen.tenant, wanted, operates=OPERATE in scopes)
            # The database made a secret; this replaces it by one that is shown.
            secret = await rotate_secret(connection, chosen.tenant, Rotation(previous_valid_s=0)) if is_new else None
    except asyncpg.CheckViolationError:
        raise CommandError("invalid tenant name: use at most 63 lower-case letters, digits, `.`, `_` and `-`") from None
    finally:
        await connection.close()
    until = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    allowed = ", ".join([*made.scopes, *([OPERATE] if made.operates else [])])
    if secret:
        _say(f"created tenant {chosen.tenant}. Its webhook secret is shown only once: {secret.secret}")
    _say(f"created key {made.key_id} of tenant {chosen.tenant} for {allowed}{until}. It is shown only once:")
    print(made.key, flush=True)  # noqa: T201 - the output of the command


async def rotate(database_url: str, chosen: argparse.Namespace) -> None:
    """Rotate the webhook secret of a tenant."""
    try:
        wanted = msgspec.convert({"previous_valid_s": chosen.previous_valid_s}, Rotation, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"invalid rotation: {why_refused(error, Rotation)}") from None
    connection = await _connect(database_url)
    try:
        async with begun(connection, ALL_TENANTS):
            made = await rotate_secret(connection, chosen.tenant, wanted)
    finally:
        await connection.close()
    until = f"; the previous one signs, too, until {made.previous_valid_until:%Y-%m-%d %H:%M} UTC"
    _say(f"new webhook secret of tenant {chosen.tenant}{until if made.previous_valid_until else ''}:")
    print(made.secret, flush=True)  # noqa: T201 - the output of the command


async def revoke(database_url: str, chosen: argparse.Namespace) -> None:
    """Revoke a key, given its id or the key itself."""
    key_id = id_in(chosen.key.encode()) or chosen.key
    if not is_key_id(key_id):
        raise CommandError("API key not found")
    connection = await _connect(database_url)
    try:
        async with begun(connection, ALL_TENANTS):
            tenant = await connection.fetchval(REVOKE, key_id)
    finally:
        await connection.close()
    if tenant is None:
        raise CommandError("API key not found")
    _say(f"revoked: key {key_id} of tenant {tenant}")


def _wanted(chosen: argparse.Namespace, scopes: list[str]) -> NewApiKey:
    values: dict[str, Any] = {"scopes": scopes}
    only_operates = chosen.scopes.strip() == OPERATE
    values |= {"scopes": [Scope.READ]} if only_operates else {}
    values |= {"purpose": chosen.purpose} if chosen.purpose else {}
    values |= {"expires_days": chosen.expires_days} if chosen.expires_days else {}
    try:
        wanted = msgspec.convert(values, NewApiKey, strict=False)
        return msgspec.structs.replace(wanted, scopes=[]) if only_operates else wanted
    except msgspec.ValidationError as error:
        raise CommandError(f"invalid key: {why_refused(error, NewApiKey)}") from None


async def _connect(database_url: str) -> Any:
    try:
        return await primary.connect(
            database_url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            statement_cache_size=0,  # there may be a pooler
        )
    except (*UNAVAILABLE, asyncpg.PostgresError, ValueError) as error:
        raise CommandError(f"cannot connect to the database: {type(error).__name__}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest_service.auth")
    commands = parser.add_subparsers(required=True)
    creating = commands.add_parser("create", help="create an API key, and its tenant if it is new")
    creating.add_argument("--tenant", required=True)
    creating.add_argument(
        "--scopes",
        required=True,
        help="comma-separated: submit, read, observe, admin (of the tenant), operate (metrics, dead letters of all)",
    )
    creating.add_argument("--purpose", default="", help="what the key is for; each purpose may have two live keys")
    creating.add_argument("--expires-days", default="", help="days until the key expires; default: never")
    creating.set_defaults(command=create)
    revoking = commands.add_parser("revoke", help="revoke an API key immediately")
    revoking.add_argument("key", help="the key or its id")
    revoking.set_defaults(command=revoke)
    rotating = commands.add_parser("rotate-webhook-secret", help="make a new webhook secret of a tenant and print it")
    rotating.add_argument("--tenant", required=True)
    rotating.add_argument(
        "--previous-valid-s", default=DAY_S, help="how long the previous secret signs, too; 0: ends now"
    )
    rotating.set_defaults(command=rotate)
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a message for the operator


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
