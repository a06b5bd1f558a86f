"""What was measured, as measured.json keeps it: the constants of the sizing, and small runs beside their simulation."""

from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("measured.json")


class SlotTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What Headrace itself costs a slot, in seconds, beside the time that the transcriber takes."""

    whole_s: float  # of a short file, under one lease
    prepare_s: float  # of a long one …
    prepare_s_per_audio_s: float  # … for each second of its audio, of which prepare_s is the whole
    chunk_s: float
    finish_s: float


class SmallRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the pair, and what the simulation said of the same arrivals."""

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


class RecordCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What one more of something costs PostgreSQL and Redis; of `idle`, what a second of one processor costs."""

    inserted: float  # rows
    updated: float  # rows
    hot: float  # of them without touching an index
    deleted: float
    statements: float
    transactions: float
    wal_bytes: float
    redis_commands: float
    postgres_cpu_s: float = 0.0
    stored_bytes: float = 0.0  # in tables and indexes once all has ended


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Of the bucket, by method, as S3 charges for them: PUT with POST and LIST, GET with HEAD; DELETE is free."""

    put: float
    get: float
    head: float
    list: float
    delete: float
    post: float = 0.0


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """One look of a processor with a free slot at a queue in which so many tasks run and none waits."""

    running: int
    commands: float
    seconds: float


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Of Redis."""

    bytes_a_prepare: float
    bytes_a_chunk: float
    rings_a_s: float
    looks: list[Looks]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    machine: str
    slot_times: SlotTimes
    runs: list[SmallRun]
    short_job: RecordCosts
    chunk: RecordCosts  # each of a long file's …
    long_job: RecordCosts  # … and what the file costs besides
    webhook: RecordCosts
    idle: RecordCosts
    requests_short: Requests
    requests_chunk: Requests
    requests_long: Requests
    queue: Queue


def read() -> Measured:
    return msgspec.json.decode(FILE.read_bytes(), type=Measured)


def write(measured: Measured) -> None:
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=2) + b"\n")
