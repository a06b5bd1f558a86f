"""The object that `make fleet` prints: the scenarios' figures and the violations. Pure."""

from collections.abc import Mapping, Sequence

from tests.tools.chaos.facts import Facts
from tests.tools.chaos.invariants import (
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
    """`violations` are the scenarios'; those of the invariants are added."""
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
    """Return violations by a duplicate or different result, webhook or chunk."""
    return [*one_result_each(facts), *one_webhook_each(facts), *chunks_done_once(facts)]
