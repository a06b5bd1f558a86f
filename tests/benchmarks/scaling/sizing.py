"""How much of everything a load needs, and how much one of each holds: pure functions of what was measured or assumed.

Every number that is not in measured.json stands here, with where it is from.
"""

import math

import msgspec

from processor_service.maintenance import erase, reconcile
from processor_service.service import BEATS_PER_LEASE
from processor_service.settings import ProcessorSettings
from processor_service.tasks.arq_worker import READ_LIMIT
from shared.blobs.blob_store import DOWNLOAD_BYTES, PART_BYTES
from tests.benchmarks.scaling import erlang
from tests.benchmarks.scaling.measured import Measured, RecordCosts, Requests

DAY_S = 24 * 3600
BLOBS_A_JOB = 3  # the source, the denoised copy, the transcript
DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ProcessorSettings)}
BEAT_S = DEFAULTS["lease_s"] / BEATS_PER_LEASE
HALF_A_LOOK_S: float = DEFAULTS["poll_s"] / 2
ERASE_EVERY_S, RECONCILE_EVERY_S = 5.0, 2.0  # processor_service/service.py


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What comes in: means over a day."""

    name: str
    uploads_per_s: float
    audio_s: float
    bytes_per_audio_s: float

    @property
    def chunks(self) -> int:
        """1: it goes through under one lease."""
        return 1 if self.audio_s <= DEFAULTS["chunk_threshold_s"] else round(self.audio_s / DEFAULTS["chunk_s"])

    @property
    def upload_bytes(self) -> float:
        return self.audio_s * self.bytes_per_audio_s


UPLOADS = Load(name="1,000 uploads a second", uploads_per_s=1000.0, audio_s=30.0, bytes_per_audio_s=8_000.0)
HOURS = Load(
    name="a million hours a day", uploads_per_s=1e6 / DAY_S, audio_s=3600.0, bytes_per_audio_s=16_000.0
)  # each file an hour
LOADS = (UPLOADS, HOURS)


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What nobody measured here."""

    speed: float = 16.0  # audio-seconds a second of a slot of two cores; README: 480 s in 29 s, tiny.en, denoised
    swing: float = 0.8  # the busiest moment of a day has 1.8 times the mean, the quietest 0.2
    promptly: float = 0.95  # of the tasks begin …
    within_s: float = 10.0  # … so soon, at the busiest moment
    slots_a_processor: int = 8
    backlog_s: float = 3600.0  # of uploads wait while no processor works
    kept_days: float = 365.0  # of rows: erasing leaves a tombstone, so they stay
    blobs_kept_days: float = 30.0  # HEADRACE_RETENTION_S
    flac_bytes_per_audio_s: float = 20_000.0  # of the denoised copy, 16 kHz mono
    wal_bytes_a_beat: float = 400.0  # of a row whose lease is renewed


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """What one of each holds, at half of what it could: the busiest moment has nearly twice the mean."""

    postgres_cores: float = 16.0  # assumed: half of a machine of 32
    wal_bytes_per_s: float = 100e6  # assumed: half of a good disk's writing
    connections: float = 500.0  # assumed: half of what a large server holds without a pooler
    rows: float = 1e9  # assumed: beyond that vacuum takes hours, and indexes no memory holds
    erased_per_s: float = erase.BATCH / ERASE_EVERY_S  # of the code: one worker erases for all
    keys: float = 36e6  # assumed: 10 LISTs a second, 1,000 keys each, in the hour between two looks for orphans
    redis_commands_per_s: float = 50_000.0  # assumed: half of a thread
    running_a_queue: float = READ_LIMIT / 2  # of the code: more, and idle workers see only what runs
    puts_per_s: float = 3_500.0  # Amazon S3's documentation, for each prefix that it has split
    gets_per_s: float = 5_500.0  # the same
    nic_bytes_per_s: float = 25e9 / 8 / 2  # assumed: half of 25 Gbit/s
    uploads_per_s_a_core: float = 420.0  # README: 840 at worst on two cores, with PostgreSQL and the clients beside
    upload_bytes_per_s_a_core: float = 235e6 / 2  # README: 5 GB at 235 MB/s, the same


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """A second, at the mean rate; of slots and memory what the busiest moment wants."""

    slot_s_a_job: float
    offered: float  # slots busy on average
    slots: int  # for the busiest moment
    processors: int
    tasks: float
    transactions: float
    statements: float
    rows_inserted: float
    rows_updated: float
    rows_of_beats: float  # of rows_updated
    rows_kept: float
    bytes_kept: float  # in tables and indexes
    wal_bytes: float
    postgres_cores: float
    connections: int
    redis_commands: float
    redis_backlog_bytes: float
    redis_compared: float  # commands, while so much waits that the reconciler never catches up
    puts: float
    gets: float
    keys: float  # blobs that are kept
    bucket_bytes_a_day: float
    ingest_bytes: float
    ingest_cores: float


def slot_s(load: Load, measured: Measured, assumed: Assumed) -> float:
    """What a job keeps slots from others for; each task also half a look's time, until its processor looks again."""
    times = measured.slot_times
    spoken_s, looks_s = load.audio_s / assumed.speed, computed_tasks(load) * HALF_A_LOOK_S
    if load.chunks == 1:
        return times.whole_s + spoken_s + looks_s
    prepare_s = times.prepare_s_per_audio_s * load.audio_s
    return prepare_s + load.chunks * times.chunk_s + spoken_s + times.finish_s + looks_s


def computed_tasks(load: Load) -> int:
    """Those that take a slot: prepare, chunks, finish."""
    return 1 if load.chunks == 1 else load.chunks + 2


def slots_at_peak(load: Load, measured: Measured, assumed: Assumed) -> int:
    """So many that the busiest moment's tasks begin promptly, as Erlang has it."""
    a_job_s = slot_s(load, measured, assumed)
    offered = load.uploads_per_s * (1 + assumed.swing) * a_job_s
    a_task_s = a_job_s / computed_tasks(load)
    return erlang.slots_for(offered, a_task_s, share=assumed.promptly, within_s=assumed.within_s)


def needs(load: Load, measured: Measured, assumed: Assumed | None = None) -> Needs:
    """Of everything, for one Headrace that had it all; each job with a webhook."""
    assumed, ends = assumed or Assumed(), Ends()
    a_job, a_file = _of_job(load, measured), _requests(load, measured, assumed)
    offered = load.uploads_per_s * slot_s(load, measured, assumed)
    slots = slots_at_peak(load, measured, assumed)
    processors = math.ceil(slots / assumed.slots_a_processor)
    rate, beats, idle = load.uploads_per_s, offered / BEAT_S, measured.idle
    return Needs(
        slot_s_a_job=slot_s(load, measured, assumed),
        offered=offered,
        slots=slots,
        processors=processors,
        tasks=rate * (computed_tasks(load) + 1),  # and the delivery of the webhook
        transactions=rate * a_job.transactions + processors * (idle.transactions + 1 / BEAT_S),
        statements=rate * a_job.statements + processors * (idle.statements + 1 / BEAT_S),
        rows_inserted=rate * a_job.inserted,
        rows_updated=rate * a_job.updated + beats,
        rows_of_beats=beats,
        rows_kept=rate * a_job.inserted * assumed.kept_days * DAY_S,
        bytes_kept=rate * a_job.stored_bytes * assumed.kept_days * DAY_S,
        wal_bytes=rate * a_job.wal_bytes + beats * assumed.wal_bytes_a_beat,
        postgres_cores=rate * a_job.postgres_cpu_s + processors * idle.postgres_cpu_s,
        connections=processors * (assumed.slots_a_processor + 8),
        redis_commands=rate * a_job.redis_commands + processors * idle.redis_commands,
        redis_backlog_bytes=rate * assumed.backlog_s * measured.queue.bytes_a_prepare,
        redis_compared=2 * reconcile.BATCH * reconcile.BATCHES_A_TURN / RECONCILE_EVERY_S,
        keys=rate * BLOBS_A_JOB * assumed.blobs_kept_days * DAY_S,
        puts=rate * (a_file.put + a_file.post + a_file.list),
        gets=rate * (a_file.get + a_file.head),
        bucket_bytes_a_day=rate * DAY_S * (load.upload_bytes + load.audio_s * assumed.flac_bytes_per_audio_s),
        ingest_bytes=rate * load.upload_bytes,
        ingest_cores=rate / ends.uploads_per_s_a_core + rate * load.upload_bytes / ends.upload_bytes_per_s_a_core,
    )


def _of_job(load: Load, measured: Measured) -> RecordCosts:
    if load.chunks == 1:
        return added((1, measured.short_job), (1, measured.webhook))
    return added((1, measured.long_job), (load.chunks, measured.chunk), (1, measured.webhook))


def _requests(load: Load, measured: Measured, assumed: Assumed) -> Requests:
    """As counted with small blobs, and what large ones take besides."""
    if load.chunks == 1:
        return measured.requests_short
    long, chunk = measured.requests_long, measured.requests_chunk
    asked = {name: getattr(long, name) + load.chunks * getattr(chunk, name) for name in _names(Requests)}
    flac_bytes = load.audio_s * assumed.flac_bytes_per_audio_s
    pieces = flac_bytes / load.chunks
    source, whole, piece = puts_besides(load.upload_bytes), puts_besides(flac_bytes), puts_besides(pieces)
    asked["put"] += source + whole + 2 * load.chunks * piece  # of a chunk, itself and its denoised copy
    asked["get"] += gets_besides(load.upload_bytes) + 2 * load.chunks * gets_besides(pieces)
    return Requests(**asked)


def puts_besides(blob_bytes: float) -> int:
    """Requests beyond one for putting a blob: its parts, and one each to begin and to complete."""
    return 0 if blob_bytes < PART_BYTES else math.ceil(blob_bytes / PART_BYTES) + 1


def gets_besides(blob_bytes: float) -> int:
    """Requests beyond one for getting a blob."""
    return max(1, math.ceil(blob_bytes / DOWNLOAD_BYTES)) - 1


def added(*parts: tuple[float, RecordCosts]) -> RecordCosts:
    """So many times each."""
    return RecordCosts(
        **{name: sum(times * getattr(cost, name) for times, cost in parts) for name in _names(RecordCosts)}
    )


def _names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_fields__


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a Headrace, what a load needs of it, and where it ends."""

    name: str
    need: float
    end: float
    unit: str
    takes_over: str

    @property
    def how_many(self) -> int:
        return max(1, math.ceil(self.need / self.end))


def parts(load: Load, measured: Measured, assumed: Assumed | None = None, ends: Ends | None = None) -> list[Part]:
    """What ends first comes first."""
    found, ends = needs(load, measured, assumed), ends or Ends()
    rows = [
        ("tasks that run, in one queue", found.slots, ends.running_a_queue, "slots", "several queues"),
        ("Redis, commands", found.redis_commands, ends.redis_commands_per_s, "/s", "Redis shards by tenant"),
        ("Redis, rings", found.tasks, measured.queue.rings_a_s / 2, "/s", "Redis shards by tenant"),
        ("Postgres, connections at most", found.connections, ends.connections, "", "a pooler"),
        ("Postgres, processor", found.postgres_cores, ends.postgres_cores, "cores", "a Postgres a cell"),
        ("Postgres, WAL", found.wal_bytes / 1e6, ends.wal_bytes_per_s / 1e6, "MB/s", "a Postgres a cell"),
        ("Postgres, rows of a year", found.rows_kept / 1e9, ends.rows / 1e9, "billion", "tables partitioned by age"),
        ("erasing by age", load.uploads_per_s, ends.erased_per_s, "jobs/s", "the bucket's own lifecycle rules"),
        ("looking for orphans", found.keys / 1e6, ends.keys / 1e6, "million blobs", "the bucket's own inventory"),
        ("bucket, PUT and LIST", found.puts, ends.puts_per_s, "/s", "a prefix or bucket a cell"),
        ("bucket, GET and HEAD", found.gets, ends.gets_per_s, "/s", "a prefix or bucket a cell"),
        ("ingest, network", found.ingest_bytes / 1e9, ends.nic_bytes_per_s / 1e9, "GB/s", "more ingests"),
        ("ingest, cores", found.ingest_cores, 16.0, "cores", "more ingests"),
    ]
    made = [Part(name=name, need=need, end=end, unit=unit, takes_over=who) for name, need, end, unit, who in rows]
    return sorted(made, key=lambda part: -part.need / part.end)
