"""The measured figures in measured.json: the constants of the sizing, and small runs with their simulation."""

from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("measured.json")
MEMORY = "memory"  # the store that is never the limit


class SlotTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for which a task holds a slot, without the transcriber's time."""

    whole_s: float  # a short file, under one lease
    prepare_s: float  # a long file
    prepare_s_per_audio_s: float  # the same per second of audio
    chunk_s: float
    finish_s: float


class SmallRun(msgspec.Struct, frozen=True, kw_only=True):
    """One real run, and the simulation of the same arrivals."""

    name: str
    processors: int
    slots: int
    jobs: int
    tasks: int
    measured_makespan_s: float
    simulated_makespan_s: float
    measured_wait_s: float  # mean, from the upload to the first claim
    simulated_wait_s: float
    measured_took_s: float  # mean, from the upload to the end
    simulated_took_s: float


class StoreCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Cost in PostgreSQL and Redis of one job, chunk or webhook; of `idle`, cost of one processor a second."""

    inserted: float  # rows
    updated: float  # rows
    hot: float  # updates without index changes
    deleted: float
    statements: float
    transactions: float
    wal_bytes: float
    redis_commands: float  # as the server counts: with those of scripts
    redis_requests: float = 0.0  # of clients; a pipeline is one
    postgres_cpu_s: float = 0.0
    stored_bytes: float = 0.0  # in tables and indexes after the end


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests to the bucket by method. S3 charges PUT, POST and LIST alike, GET and HEAD alike; DELETE is free."""

    put: float
    get: float
    head: float
    list: float
    delete: float
    post: float = 0.0


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that one worker erases a second, its CPU seconds a job, and its requests to the bucket for 1,000 jobs."""

    jobs_a_s: float
    cpu_s: float  # without PostgreSQL and the store
    post: float
    list: float
    delete: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One call that takes a task from the queue, beside so many that wait and run."""

    waiting: int = 0
    running: int
    commands: float  # as the server counts: with those of the script
    seconds: float


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue in Redis. `rings_a_s`: enqueued dispatches a second."""

    bytes_a_prepare: float
    bytes_a_chunk: float
    rings_a_s: float
    looks: list[Look]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All measured figures."""

    machine: str
    slot_times: SlotTimes
    runs: list[SmallRun]
    short_job: StoreCosts
    chunk: StoreCosts  # each chunk of a long file
    long_job: StoreCosts  # a long file without its chunks
    webhook: StoreCosts
    idle: StoreCosts
    requests_short: Requests
    requests_chunk: Requests
    requests_long: Requests
    queue: Queue
    erasing: dict[str, Erasing]  # by store


def read() -> Measured:
    return msgspec.json.decode(FILE.read_bytes(), type=Measured)


def write(measured: Measured) -> None:
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=2) + b"\n")
