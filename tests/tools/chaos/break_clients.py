"""Runs with slow clients or a full disk. No accepted upload may be lost or delayed beyond the limits."""

import resource

from tests.tools.chaos.gather import partial_blobs
from tests.tools.chaos.hostile_costs import rss_mb
from tests.tools.chaos.run import Run
from tests.tools.chaos.slow_clients import SlowClients
from tests.tools.chaos.sounds import padded
from tests.tools.chaos.timings import percentile

MEBIBYTE = 1 << 20
FULL_AT_BYTES = (MEBIBYTE, 6 * MEBIBYTE)
LARGE_BYTES = 8 * MEBIBYTE
UPLOADS_WHILE_FULL = 4
CLOSED_WITHIN_S = 30.0
CLOSED_SLACK_S = 5.0  # the client's timer starts before the connection
RSS_GROWTH_MB = 64.0


async def c8_disk_full(run: Run) -> None:
    """The disk is full (simulated by a file size limit): uploads get 507 and leave no files."""
    full_at = run.rng.randint(*FULL_AT_BYTES)
    pid = run.world.ingest.life.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (full_at, before[1]))
    run.fault("disk full")
    try:
        refused = [
            await run.load.attempt(run.world.short, audio=lambda wav: padded(wav, LARGE_BYTES))
            for _ in range(UPLOADS_WHILE_FULL)
        ]
        small = await run.upload_short()
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    statuses = [one.status for one in refused]
    run.figures |= {"full_at_bytes": full_at, "statuses": str(statuses)}
    run.expect(all(status == 507 for status in statuses), f"uploads to a full disk got {statuses}, expected 507")
    run.expect(small.status == 202, f"an upload that fits got {small.status}, expected 202")
    # The job of the small upload runs meanwhile: its processor writes results.
    left = [path for path in partial_blobs(run.world.blobs) if "source#" in path.name]
    run.expect(not left, f"a rejected upload left a partial file: {left}")
    large = await run.load.attempt(run.world.short, audio=lambda wav: padded(wav, LARGE_BYTES))
    run.expect(large.status == 202, f"an upload after the fault got {large.status}, expected 202")
    await run.judge()


async def c9_slow_clients(run: Run) -> None:
    """Hundreds of clients send one byte a second, go silent or reset, while normal clients upload."""
    baseline = await _latencies_s(run)
    before_mb = rss_mb(run.world.ingest.life.pid)
    async with SlowClients(run.world.url, run.profile.slow_connections, run.rng).connected() as slow:
        run.fault(f"{run.profile.slow_connections} slow clients")
        meanwhile = await _latencies_s(run)
        await slow.until_closed(CLOSED_WITHIN_S + CLOSED_SLACK_S)
        growth_mb = rss_mb(run.world.ingest.life.pid) - before_mb
    ratio = percentile(meanwhile, 0.99) / percentile(baseline, 0.99)
    run.figures |= {
        "p99_baseline_s": percentile(baseline, 0.99),
        "p99_meanwhile_s": percentile(meanwhile, 0.99),
        "p99_ratio": round(ratio, 2),
        "closed_within_s": percentile(slow.closed_after_s, 1.0),
        "rss_growth_mb": round(growth_mb, 1),
    } | slow.figures()
    run.hold("p99 of normal uploads relative to the baseline", ratio, run.profile.slow_p99_ratio)
    run.expect(not slow.open_bodies, f"{slow.open_bodies} slow uploads were not closed within {CLOSED_WITHIN_S:.0f} s")
    run.expect(
        not slow.open_headers, f"{slow.open_headers} slow request heads were not closed within {CLOSED_WITHIN_S:.0f} s"
    )
    run.hold("memory growth of the ingest (MB)", growth_mb, RSS_GROWTH_MB)
    await run.judge()


async def _latencies_s(run: Run) -> list[float]:
    attempts = await run.load.jobs(run.world.short, run.profile.legitimate_uploads, at_once=2)
    return [attempt.answered_at - attempt.sent_at for attempt in attempts]
