"""One long file on one processor, then on three. A chunk takes a fixed time and no CPU: the hosts share the cores."""

from collections import Counter
from uuid import UUID

from tests.tools.benchmarks.scale import TIMES
from tests.tools.chaos.golden import Golden
from tests.tools.fleet.settings import CHUNK_S, SLOTS
from tests.tools.fleet.sounds import repeated_wav
from tests.tools.fleet.trial import Trial, now

CHUNKS = 36
CHUNK_TAKES_S = 3.0
MIN_SPEEDUP = 2.5


async def long_file(trial: Trial) -> None:
    """The same file on one processor and on all, without other jobs, from upload to COMPLETED."""
    recording = await trial.fleet.golden_of(repeated_wav(CHUNKS * CHUNK_S))
    await trial.processors_up(1)
    one_s = await _through(trial, recording, processors=1)
    count = len(trial.fleet.processors)
    await trial.processors_up(count)
    all_s = await _through(trial, recording, processors=count)
    speedup = round(one_s / all_s, 2)
    trial.figures |= {"slots_each": SLOTS, "speedup": speedup}
    trial.expect(
        speedup >= MIN_SPEEDUP, f"{count} processors are {speedup} times as fast as one; the minimum is {MIN_SPEEDUP}"
    )


async def _through(trial: Trial, recording: Golden, *, processors: int) -> float:
    """Return the seconds from the upload to the job's end."""
    began_at = now()
    attempt = await trial.load.attempt(recording, prompt=f"SLOW {CHUNK_TAKES_S}")
    assert attempt.job_id is not None, attempt
    await trial.ended([attempt])
    (times,) = await trial.fleet.record.fetch(TIMES, UUID(attempt.job_id))
    chunks_of = Counter((claim.who or "").partition(".")[0] for claim in await trial.claims(began_at))
    trial.figures[f"on_{processors}"] = {
        "seconds": round(times["whole_s"], 2),
        "chunks": times["chunks"],
        "chunks_s": round(times["chunks_s"], 2),
        "mean_chunk_s": round(times["mean_chunk_s"], 2),
        "tasks_by_processor": dict(sorted(chunks_of.items())),
    }
    return float(times["whole_s"])
