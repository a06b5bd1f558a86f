"""An ingest and a processor behind one slow line: 80 ms each way, one frame of a hundred lost."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator

from tests.tools.chaos.timings import percentile
from tests.tools.fleet.hosts import Host
from tests.tools.fleet.settings import SERVE_PORT
from tests.tools.fleet.slow_line import DELAY_S, LOSS, NoSlowLineError, slow_line
from tests.tools.fleet.trial import Trial, now

CONNECTS = 9
SHORT_JOBS, LONG_JOBS = 12, 4
AT_ONCE = 4
CHUNK_TAKES_S = (
    5.0  # arq needs four round trips per queued task: a far worker gets no task that a near one takes quickly
)


async def slow_link(trial: Trial) -> None:
    """Jobs through both ingests and chunks on all processors, of which one each is far."""
    try:
        await _over_the_line(trial)
    except NoSlowLineError as error:
        trial.figures["skipped"] = str(error)


async def _over_the_line(trial: Trial) -> None:
    fleet = trial.fleet
    far_ingest, far_processor = fleet.ingests[-1], fleet.processors[-1]
    await trial.processors_up()
    async with slow_line(trial.rng.randrange(1 << 30)) as counted:
        async with _far(trial, fleet.hosts[far_ingest.name], fleet.hosts[far_processor.name]):
            began_at = now()
            trial.figures["round_trip_ms"] = await _round_trip_ms(fleet.hosts[far_ingest.name])
            jobs = await trial.load.jobs(fleet.short, SHORT_JOBS, at_once=AT_ONCE)
            jobs += await trial.load.jobs(fleet.long, LONG_JOBS, at_once=AT_ONCE, prompt=f"SLOW {CHUNK_TAKES_S}")
            await trial.ended(jobs)
            claims = await trial.claims(began_at)
        line = await counted()
    answers_s = [one.answered_at - one.sent_at for one in trial.load.accepted]
    by_it = sum((claim.who or "").startswith(f"{far_processor.name}.") for claim in claims)
    trial.figures |= {
        "line": {**line, "delay_ms": DELAY_S * 1000, "loss": LOSS},
        "jobs": len(jobs),
        "seconds": round(now() - began_at, 1),
        "answered_s": {"p50": percentile(answers_s, 0.5), "max": percentile(answers_s, 1.0)},
        "tasks_taken": {"by_the_far_one": by_it, "by_others": len(claims) - by_it},
    }
    trial.expect(line["frames_lost"], "the line lost no frame")
    trial.expect(by_it, "the far processor claimed no task")


@contextlib.asynccontextmanager
async def _far(trial: Trial, *hosts: Host) -> AsyncIterator[None]:
    """Plug hosts into the far switch for a block."""
    for host in hosts:
        await trial.fleet.network.plug_far(host)
    try:
        yield
    finally:
        for host in hosts:
            await trial.fleet.network.plug(host)


async def _round_trip_ms(host: Host) -> float:
    """Return the median time to open a connection, in ms."""
    times_ms = []
    for _ in range(CONNECTS):
        began_at = now()
        _, writer = await asyncio.open_connection(host.address, SERVE_PORT)
        times_ms.append((now() - began_at) * 1000)
        writer.transport.abort()
    return round(statistics.median(times_ms))
