"""What `make fleet` prints: the figures of its scenarios, and the checker's judgement. Pure."""

from collections.abc import Mapping, Sequence

from tests.chaos.facts import Facts
from tests.chaos.invariants import (
    chunks_done_once,
    every_accepted_job_ends,
    one_result_each,
    one_webhook_each,
    violations_of,
)

Report = dict[str, object]


def skipped(why: str) -> Report:
    return {"skipped": True, "why": why}


def report(
    facts: Facts, scenarios: Mapping[str, Mapping[str, object]], violations: Sequence[str], *, seed: int, seconds: float
) -> Report:
    """`violations` are those of the scenarios; the invariants' are added."""
    found = [*violations, *violations_of(facts)]
    return {
        "skipped": False,
        "seed": seed,
        "seconds": round(seconds),
        "scenarios": dict(scenarios),
        "accepted": sum(attempt.status == 202 for attempt in facts.attempts),
        "lost": len(every_accepted_job_ends(facts)),
        "doubled": len(_doubled(facts)),
        "violations": found,
    }


def _doubled(facts: Facts) -> list[str]:
    """What was done or told more than once, or came out as something else."""
    return [*one_result_each(facts), *one_webhook_each(facts), *chunks_done_once(facts)]
