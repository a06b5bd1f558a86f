import asyncpg

from processor_service.maintenance.expire import forget_keys
from processor_service.maintenance.loop import run_locked
from shared.ids import new_id

INSERT = """
INSERT INTO idempotency_keys (tenant, key, claim, job_id, fingerprint, expires_at)
VALUES ('a', $1, $2, $3, $4, now() + make_interval(secs => $5))
"""


async def test_expired_answers_and_abandoned_claims_are_deleted(
    database: asyncpg.Pool,
) -> None:
    for key, is_answered, left_s in [
        ("kept answer", True, 1000),
        ("old answer", True, -1),
        ("claim", False, 60),
        ("claim that may be renewed", False, -600),
        ("old claim", False, -4000),
    ]:
        job_id, fingerprint = (new_id(), "ab") if is_answered else (None, None)
        await database.execute(INSERT, key, new_id(), job_id, fingerprint, float(left_s))

    assert await run_locked(database, "forget", forget_keys) == []

    left = {row["key"] for row in await database.fetch("SELECT key FROM idempotency_keys")}
    assert left == {"kept answer", "claim", "claim that may be renewed"}
