"""The roles of deploy/roles.sql. They belong to the server, which tests share; their rights belong to a database."""

import re
from pathlib import Path

import asyncpg

SCRIPT = Path(__file__).resolve().parents[2] / "deploy/roles.sql"
CREATE = re.compile(r"^CREATE ROLE (\w+).*;$", re.MULTILINE)


async def install_roles(owner: asyncpg.Connection) -> None:
    """Run the script in the database of a superuser's connection. Roles that exist remain as they are."""
    script = SCRIPT.read_text()
    for statement in CREATE.finditer(script):
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", statement[1]):
            await owner.execute(statement[0])
    await owner.execute(CREATE.sub("", script))
