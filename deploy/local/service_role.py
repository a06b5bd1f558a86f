"""The role by which the services come to the embedded database: an ordinary one, which row-level security holds for.

The cluster's own role is a superuser, who owns the tables, migrates them, and sees everything.
"""

from urllib.parse import urlsplit, urlunsplit

import asyncpg

ROLE = "headrace_service"

# The password is letters and digits of our own; a statement like this takes no parameters.
PREPARE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOSUPERUSER NOBYPASSRLS;
    END IF;
END $$;
ALTER ROLE {role} LOGIN PASSWORD '{password}';
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
"""


async def let_services_in(owner_url: str, password: str) -> str:
    """Give the role what the services need of a migrated database; their URL. Once more is no error."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(PREPARE.format(role=ROLE, password=password))
    finally:
        await connection.close()
    parts = urlsplit(owner_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{ROLE}:{password}@{place}"))
