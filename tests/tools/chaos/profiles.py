"""Sizes of the runs: `short` takes twelve minutes and is part of CI; start `long`, over half an hour, by hand."""

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the runs. Each run defines its own limits."""

    name: str
    lease_s: float
    retry_waits_s: tuple[float, ...]
    webhook_waits_s: tuple[float, ...]
    webhook_timeout_s: float
    stage_timeout_s: float
    orphan_age_s: float
    time_factor: float  # multiplies every time limit: shared machines are slow, and only `long` enforces the limits
    quiet_within_s: float  # I1's T: from the end of the faults to the last terminal state
    settled_within_s: float  # from then on: dead letters listed, orphans collected, queues swept
    slots: int  # of each worker
    jobs: int  # of a run at least, each of several chunks
    under_way: int  # concurrent jobs while faults are injected
    slow_chunk_s: float  # time to transcribe a chunk, without using the CPU
    kill_every_s: tuple[float, float]
    kill_for_s: float
    times_at_each_failpoint: int
    stopped_failpoints: int | None  # how many of them C3 draws; None is all
    rolling_restarts: int
    flushes: int
    redis_down_s: tuple[float, ...]
    redis_frozen_s: float
    cuts: int
    postgres_frozen_s: float
    slow_connections: int
    slow_p99_ratio: float
    legitimate_uploads: int  # with slow clients connected; the p99 of few uploads is their maximum
    dead_jobs: int
    backlog: int
    throughput_jobs: int
    throughput_drop: float | None  # None: reported only
    calm_for_s: float
    hostile_for_s: float
    side_by_side: tuple[tuple[str, ...], ...]  # runs that run in parallel, to save time
    killers: tuple[str, ...]  # what C11's poison does to a child process


SHORT = Profile(
    name="short",
    lease_s=5.0,
    retry_waits_s=(0.3, 0.6, 1.2),
    webhook_waits_s=(1.0, 2.0, 3.0),
    webhook_timeout_s=2.0,
    stage_timeout_s=20.0,  # a first split imports for seconds, on a busy machine for ten
    orphan_age_s=4.0,  # shorter than C3 freezes an ingest between storing and committing
    time_factor=2.0,
    quiet_within_s=90.0,
    settled_within_s=25.0,
    slots=2,
    jobs=16,
    under_way=4,
    slow_chunk_s=0.4,
    kill_every_s=(2.0, 4.0),
    kill_for_s=10.0,
    times_at_each_failpoint=1,
    stopped_failpoints=3,
    rolling_restarts=4,
    flushes=4,
    redis_down_s=(3.0,),
    redis_frozen_s=6.0,
    cuts=30,
    postgres_frozen_s=5.0,
    slow_connections=100,
    slow_p99_ratio=4.0,  # two busy cores are noisy
    legitimate_uploads=60,
    dead_jobs=100,
    backlog=40,
    throughput_jobs=8,
    throughput_drop=None,
    calm_for_s=60.0,  # the p99 of few uploads is their maximum
    hostile_for_s=120.0,
    side_by_side=(("C5", "C16"), ("C9", "C10"), ("C11", "C14", "C15")),
    killers=("CRASH", "OOM", "HANG", "FLOOD"),
)

LONG = Profile(
    name="long",
    lease_s=15.0,
    retry_waits_s=(1.0, 2.0, 4.0),
    webhook_waits_s=(1.0, 2.0, 4.0),
    webhook_timeout_s=3.0,
    stage_timeout_s=20.0,
    orphan_age_s=20.0,
    time_factor=1.0,
    quiet_within_s=600.0,
    settled_within_s=300.0,
    slots=2,
    jobs=200,
    under_way=12,
    slow_chunk_s=0.4,
    kill_every_s=(3.0, 8.0),
    kill_for_s=60.0,
    times_at_each_failpoint=6,
    stopped_failpoints=10,
    rolling_restarts=20,
    flushes=10,
    redis_down_s=(3.0, 60.0),
    redis_frozen_s=30.0,
    cuts=200,
    postgres_frozen_s=20.0,
    slow_connections=500,
    slow_p99_ratio=2.0,
    legitimate_uploads=300,
    dead_jobs=1000,
    backlog=400,
    throughput_jobs=60,
    throughput_drop=0.05,
    calm_for_s=60.0,
    hostile_for_s=120.0,
    side_by_side=(("C5", "C16"), ("C11", "C14", "C15")),
    killers=("CRASH", "OOM", "HANG", "FLOOD", "SPIN", "CHATTER", "GARBAGE"),
)

PROFILES = {profile.name: profile for profile in (SHORT, LONG)}
