"""A run in which operators redrive all dead letters twice at once."""

import asyncio

from shared.schemas.failures import FailureCode
from tests.tools.chaos.run import Run
from tests.tools.chaos.sounds import damaged

AT_ONCE = 16
DEAD = "SELECT count(*) FROM tasks WHERE job_id = ANY($1::uuid[]) AND state = 'dead' AND dismissed_at IS NULL"
GENERATIONS = "SELECT generation, count(*) AS jobs FROM jobs WHERE id = ANY($1::uuid[]) GROUP BY generation"


async def c15_redrive_twice(run: Run) -> None:
    """Two concurrent requests redrive all dead letters: each job gets one new generation."""
    count = run.profile.dead_jobs
    jobs = await run.load.jobs(run.world.short, count, webhook=None, audio=damaged, expected="FAILED", at_once=AT_ONCE)
    await run.ended(jobs)
    ids = [attempt.job_id for attempt in jobs]
    dead = await run.world.record.value(DEAD, ids)
    run.fault("two redrives at once")
    answers = await asyncio.gather(_redrive_all(run), _redrive_all(run))
    await run.judge()
    generations = {row["generation"]: row["jobs"] for row in await run.world.record.fetch(GENERATIONS, ids)}
    run.figures |= {"dead": dead, "redriven": sum(answers), "generations": str(generations)}
    run.expect(dead == count, f"{dead} of {count} jobs had a dead letter")
    run.expect(sum(answers) == count, f"{answers} of {count} dead letters were redriven")
    run.expect(generations == {2: count}, f"the generations of the jobs are {generations}")


async def _redrive_all(run: Run) -> int:
    """Redrive only dead letters of this run, by their code: other runs may run in parallel."""
    url = f"{run.world.url}/v1/dead-letters/redrive?code={FailureCode.UNDECODABLE_AUDIO}"
    async with run.world.http.post(url) as answer:
        body = await answer.json()
        run.expect(answer.status == 200, f"the redrive got {answer.status}: {body}")
        return int(body.get("redriven", 0))
