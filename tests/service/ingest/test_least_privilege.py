"""Each role can do what the statements of its service do, and no more. All statements, found by introspection."""

from collections.abc import AsyncIterator, Iterable

import asyncpg
import pytest
import pytest_asyncio

from deploy.migrate import migrate
from tests.support.databases import new_database
from tests.support.roles import install_roles
from tests.support.servers import as_role
from tests.support.stack.statements import PACKAGES, statements_in_functions, statements_of

OPERATIONS = ("SELECT", "INSERT", "UPDATE", "DELETE")

# What the triggers of the migrations do under the role of the service. EXPLAIN does not run triggers.
TRIGGERS = {
    "ingest": {
        "make_webhook_secret": "INSERT INTO webhook_secrets (tenant, secret) VALUES ('', '')",
        "forget_vocabulary": "DELETE FROM vocabularies WHERE tenant = ''",
    },
    "processor": {},
}
FUNCTIONS = """
    SELECT proname FROM pg_proc JOIN pg_trigger ON tgfoid = pg_proc.oid
    WHERE pronamespace = 'public'::regnamespace AND prosrc ~* '(insert|update|delete|select)\\s'
"""
TABLE_GRANTS = """
    SELECT table_name AS table, privilege_type AS operation, NULL::text AS column
    FROM information_schema.role_table_grants WHERE grantee = $1 AND table_schema = 'public'
"""
COLUMN_GRANTS = """
    SELECT attrelid::regclass::text AS table, acl.privilege_type AS operation, attname::text AS column
    FROM pg_attribute, aclexplode(attacl) AS acl WHERE acl.grantee = $1::regrole
"""


@pytest_asyncio.fixture
async def owner(postgres: object) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a new database, installed as docs/operations.md says."""
    async with new_database(postgres, template="template0") as url:  # type: ignore[arg-type] # the server
        connection = await asyncpg.connect(url)
        try:
            await install_roles(connection)
            await connection.execute("ALTER ROLE headrace_migrate PASSWORD 'migrate'")
            await migrate(as_role(url, "headrace_migrate:migrate"))
            yield connection
        finally:
            await connection.close()


@pytest.mark.parametrize("service", PACKAGES)
async def test_a_role_may_do_what_its_statements_do(owner: asyncpg.Connection, service: str) -> None:
    statements = {**statements_of(service), **TRIGGERS[service]}
    assert len(statements) > 50
    assert [name for name in statements if not await _may(owner, service, [statements[name]])] == []


@pytest.mark.parametrize("service", PACKAGES)
async def test_a_role_may_do_no_more(owner: asyncpg.Connection, service: str) -> None:
    statements = {**statements_of(service), **TRIGGERS[service]}.values()
    role, surplus = f"headrace_{service}", []
    grants = [*await owner.fetch(TABLE_GRANTS, role), *await owner.fetch(COLUMN_GRANTS, role)]
    for table, operation, column in grants:
        concerned = [each for each in statements if table in each]
        what = f"{operation} ({column})" if column else operation
        if operation not in OPERATIONS or await _may(
            owner, service, concerned, f"REVOKE {what} ON {table} FROM {role}"
        ):
            surplus.append(f"{what} ON {table}")
    assert len(grants) > 20
    assert surplus == []


@pytest.mark.parametrize("service", PACKAGES)
def test_functions_write_no_statements(service: str) -> None:
    """Statements are constants, so that the tests above find all."""
    assert statements_in_functions(service) == set()


async def test_the_triggers_are_known(owner: asyncpg.Connection) -> None:
    assert {row["proname"] for row in await owner.fetch(FUNCTIONS)} == {*TRIGGERS["ingest"], *TRIGGERS["processor"]}


async def _may(owner: asyncpg.Connection, service: str, statements: Iterable[str], change: str = "SELECT 1") -> bool:
    """Return whether the role may do all statements, after a change that is undone. EXPLAIN checks, and runs none."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(change)
        await owner.execute(f"SET LOCAL ROLE headrace_{service}")
        for statement in statements:
            await owner.execute(f"EXPLAIN (GENERIC_PLAN) {statement}")
    except asyncpg.InsufficientPrivilegeError:
        return False
    else:
        return True
    finally:
        await transaction.rollback()
