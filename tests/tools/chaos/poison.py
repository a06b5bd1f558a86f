"""A run with poison jobs, which kill, hang or flood their child process, among normal jobs."""

from tests.tools.chaos.load import Attempt
from tests.tools.chaos.run import Run
from tests.tools.chaos.sounds import endless_silence

CRASHES = 3
WORST_OF = "SELECT max(crashes) AS crashes, max(attempts) AS attempts FROM tasks WHERE job_id = $1::uuid"
BLAME = """
SELECT count(*) FROM tasks WHERE job_id = ANY($1::uuid[]) AND kind <> 'deliver' AND (crashes > 0 OR attempts > 0)
"""
CODE = "SELECT error_code FROM jobs WHERE id = $1::uuid"


async def c11_poison(run: Run) -> None:
    """Crashes, unbounded memory, endless loops, floods and a decompression bomb among normal jobs."""
    load, short, killers = run.load, run.world.short, run.profile.killers
    poisoned = [await load.attempt(short, prompt=killer, expected="FAILED") for killer in killers]
    bomb = await load.attempt(short, audio=endless_silence, expected="FAILED")
    bystanders = await load.jobs(run.world.long, run.profile.jobs // 2)
    for killer in killers:
        run.fault(killer, costs=CRASHES)
    await run.judge()
    for attempt, killer in zip(poisoned, killers, strict=True):
        await _expect_poison(run, attempt, killer)
    run.expect(await _code(run, bomb) == "audio_too_long", f"the bomb ended with {await _code(run, bomb)}")
    blamed = await run.world.record.value(BLAME, [attempt.job_id for attempt in bystanders])
    run.figures |= {"poison": len(poisoned), "bystanders": len(bystanders), "bystanders_blamed": blamed}
    run.expect(not blamed, f"{blamed} tasks of other jobs counted attempts or crashes because of poison")


async def _expect_poison(run: Run, attempt: Attempt, killer: str) -> None:
    row = (await run.world.record.fetch(WORST_OF, attempt.job_id))[0]
    code = await _code(run, attempt)
    found = (code, row["crashes"], row["attempts"])
    run.expect(found == ("poison", CRASHES, 0), f"{killer} ended as {found}, not as poison after {CRASHES} crashes")


async def _code(run: Run, attempt: Attempt) -> str | None:
    code: str | None = await run.world.record.value(CODE, attempt.job_id)
    return code
