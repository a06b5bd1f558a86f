import asyncpg

from processor_service.maintenance.expire import forget_sessions
from processor_service.maintenance.loop import run_locked

KEY = """
INSERT INTO api_keys (id, tenant, purpose, digest, scopes)
VALUES ('0123456789abcdef', 'default', 'test', sha256('x'), '{read}')
"""
SESSION = """
INSERT INTO sessions (id, tenant, key_id, digest, expires_at)
VALUES ($1, 'default', '0123456789abcdef', sha256('x'), now() + make_interval(secs => $2))
"""


async def test_expired_sessions_are_deleted(database: asyncpg.Pool) -> None:
    await database.execute(KEY)
    for number, left_s in enumerate((-1.0, 1000.0, -40_000.0)):
        await database.execute(SESSION, f"s000000000000000{number}", left_s)
    assert await run_locked(database, "forget", forget_sessions) == []
    assert [row["id"] for row in await database.fetch("SELECT id FROM sessions")] == ["s0000000000000001"]
