"""What a load needs of each part, and the capacity of one part: pure functions of measured and assumed numbers.

Numbers that are not in measured.json are in this file, with their sources.
"""

import math

import msgspec

from processor_service.maintenance import erase, reconcile, scan_store, slices
from processor_service.maintenance.leader import CANDIDATE_EVERY_S
from processor_service.service import BEATS_PER_LEASE, CONNECTIONS, VITAL_CONNECTIONS
from processor_service.settings import ProcessorSettings
from shared.blobs.blob_store import DOWNLOAD_BYTES, LIST_PAGE, PART_BYTES
from tests.tools.benchmarks.scaling import erlang
from tests.tools.benchmarks.scaling.measured import MEMORY, Measured, Requests, StoreCosts

DAY_S = 24 * 3600
BLOBS_A_JOB = 4  # the source, the denoised copy, the transcript, the waveform
DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ProcessorSettings)}
BEAT_S = DEFAULTS["lease_s"] / BEATS_PER_LEASE
CANDIDATE_SHARE = 0.3  # measured: a leader sends 1.3 statements a second, another processor 0.4
RECONCILE_EVERY_S = 2.0  # processor_service/loops.py
SEARCH_DAYS = 30.0  # a search for orphans may take as long as blobs are kept
REDIS_CPU_S_A_TASK = 0.31e-3  # measured by `make bench-slots ARGS="--backlog 60000 --task-s 10"`, at 178 tasks a second
TRANSACTION_S = 0.005  # assumed: how long a transaction holds a connection of the pooler, with a network between
SPLITS = 16  # assumed: S3 splits at the first of the two digits with which keys begin
COMPARED_WITH = 3  # commands that compare a batch of one queue: processor_service/maintenance/reconcile.py


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The arriving uploads: means over a day."""

    name: str
    uploads_per_s: float
    audio_s: float
    bytes_per_audio_s: float

    @property
    def chunks(self) -> int:
        """Chunks of a file; 1 means that it is processed under one lease."""
        return 1 if self.audio_s <= DEFAULTS["chunk_threshold_s"] else round(self.audio_s / DEFAULTS["chunk_s"])

    @property
    def upload_bytes(self) -> float:
        return self.audio_s * self.bytes_per_audio_s


UPLOADS = Load(name="1,000 uploads a second", uploads_per_s=1000.0, audio_s=30.0, bytes_per_audio_s=8_000.0)
HOURS = Load(
    name="a million hours a day", uploads_per_s=1e6 / DAY_S, audio_s=3600.0, bytes_per_audio_s=16_000.0
)  # each file has one hour
LOADS = (UPLOADS, HOURS)


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """Assumptions that were not measured."""

    speed: float = 16.0  # seconds of audio per second and slot of two cores; 480 s in 29 s (docs/benchmarks.md)
    swing: float = 0.8  # the busiest moment of a day has 1.8 times the mean, the quietest 0.2
    promptly: float = 0.95  # share of the tasks that begin within_s after dispatch
    within_s: float = 10.0  # at the busiest moment
    slots_a_processor: int = 8
    backlog_s: float = 3600.0  # uploads that wait during an outage of the processors
    kept_days: float = 37.0  # rows: 30 days of HEADRACE_RETENTION_S, 7 of HEADRACE_RETENTION_TOMBSTONES_S
    blobs_kept_days: float = 30.0  # HEADRACE_RETENTION_S
    flac_bytes_per_audio_s: float = 20_000.0  # denoised copy, 16 kHz mono
    wal_bytes_a_beat: float = 400.0  # per heartbeat


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """The usable capacity of one part: half of its maximum, as the busiest moment has nearly twice the mean."""

    postgres_cores: float = 16.0  # assumed: half of a machine of 32
    wal_bytes_per_s: float = 100e6  # assumed: half of a good disk's write rate
    connections: float = 500.0  # assumed: half of a large server's limit
    rows: float = 1e9  # of a partition; assumed: beyond it, vacuum takes hours and indexes exceed memory
    erased: float = erase.RUN_S / erase.EVERY_S / 2  # from the code: the share of the time in which a worker erases
    # From the code: what a search for orphans lists in SEARCH_DAYS. It goes on where it was, so it need not end sooner.
    keys: float = scan_store.PAGES_A_RUN * LIST_PAGE / scan_store.EVERY_S * SEARCH_DAYS * DAY_S / 2
    redis_cores: float = 0.5  # half of its thread
    puts_per_s: float = 3_500.0 * SPLITS  # Amazon S3's documentation, for each partitioned prefix
    gets_per_s: float = 5_500.0 * SPLITS  # the same
    nic_bytes_per_s: float = 25e9 / 8 / 2  # assumed: half of 25 Gbit/s
    uploads_per_s_a_core: float = 420.0  # measured: at least 840 on two cores, client and servers on one host
    upload_bytes_per_s_a_core: float = 235e6 / 2  # measured: 5 GB at 235 MB/s, on the same host


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Needs per second at the mean rate; slots and memory are for the busiest moment."""

    slot_s_a_job: float
    offered: float  # slots busy on average
    slots: int  # for the busiest moment
    processors: int
    tasks: float
    transactions: float
    statements: float
    rows_inserted: float
    rows_updated: float
    rows_of_beats: float  # included in rows_updated
    rows_kept: float  # by retention: it does not grow
    rows_of_slice: float  # of its largest partition, that of `tasks`
    bytes_kept: float  # in tables and indexes
    wal_bytes: float
    postgres_cores: float
    connections: int  # of all processors
    pooled_connections: int  # of PgBouncer to Postgres, at the busiest moment
    redis_requests: float  # of clients; a pipeline or a script is one
    redis_cores: float
    redis_backlog_bytes: float
    redis_compared: float  # commands of the reconciler under a large backlog
    puts: float
    gets: float
    keys: float  # stored blobs
    bucket_bytes_a_day: float
    ingest_bytes: float
    ingest_cores: float


def slot_s(load: Load, measured: Measured, assumed: Assumed) -> float:
    """Return the slot seconds of a job. A slot that becomes free takes the next task at once."""
    times = measured.slot_times
    spoken_s = load.audio_s / assumed.speed
    if load.chunks == 1:
        return times.whole_s + spoken_s
    prepare_s = times.prepare_s_per_audio_s * load.audio_s
    return prepare_s + load.chunks * times.chunk_s + spoken_s + times.finish_s


def computed_tasks(load: Load) -> int:
    """Return the number of tasks that take a slot: prepare, chunks, finish."""
    return 1 if load.chunks == 1 else load.chunks + 2


def slots_at_peak(load: Load, measured: Measured, assumed: Assumed) -> int:
    """Return the slots with which the busiest moment's tasks begin promptly, by Erlang C."""
    a_job_s = slot_s(load, measured, assumed)
    offered = load.uploads_per_s * (1 + assumed.swing) * a_job_s
    a_task_s = a_job_s / computed_tasks(load)
    return erlang.slots_for(offered, a_task_s, share=assumed.promptly, within_s=assumed.within_s)


def days_of_slice(uploads_per_s: float) -> int:
    """Return the length of a slice as maintenance chooses it."""
    return slices.days_of(uploads_per_s * DAY_S)


def needs(load: Load, measured: Measured, assumed: Assumed | None = None) -> Needs:
    """Return the needs of a load on one installation. Each job has a webhook."""
    assumed, ends = assumed or Assumed(), Ends()
    a_job, a_file = _of_job(load, measured), _requests(load, measured, assumed)
    offered = load.uploads_per_s * slot_s(load, measured, assumed)
    slots = slots_at_peak(load, measured, assumed)
    processors = math.ceil(slots / assumed.slots_a_processor)
    rate, beats, idle = load.uploads_per_s, offered / BEAT_S, measured.idle
    looks = (processors - 1) / CANDIDATE_EVERY_S  # of those that do not lead; `idle` is of one that leads
    transactions = rate * a_job.transactions + idle.transactions + looks + processors / BEAT_S
    return Needs(
        slot_s_a_job=slot_s(load, measured, assumed),
        offered=offered,
        slots=slots,
        processors=processors,
        tasks=rate * (computed_tasks(load) + 1),  # plus the delivery of the webhook
        transactions=transactions,
        statements=rate * a_job.statements + idle.statements + looks + processors / BEAT_S,
        rows_inserted=rate * a_job.inserted,
        rows_updated=rate * a_job.updated + beats,
        rows_of_beats=beats,
        rows_kept=rate * a_job.inserted * (assumed.kept_days + days_of_slice(rate)) * DAY_S,
        rows_of_slice=rate * (computed_tasks(load) + 1) * days_of_slice(rate) * DAY_S,
        bytes_kept=rate * a_job.stored_bytes * (assumed.kept_days + days_of_slice(rate)) * DAY_S,
        wal_bytes=rate * a_job.wal_bytes + beats * assumed.wal_bytes_a_beat,
        postgres_cores=rate * a_job.postgres_cpu_s + (1 + (processors - 1) * CANDIDATE_SHARE) * idle.postgres_cpu_s,
        connections=processors * (CONNECTIONS + VITAL_CONNECTIONS),
        pooled_connections=math.ceil((1 + assumed.swing) * transactions * TRANSACTION_S),
        redis_requests=rate * a_job.redis_requests + processors * idle.redis_requests,
        redis_cores=rate * (computed_tasks(load) + 1) * REDIS_CPU_S_A_TASK,
        redis_backlog_bytes=rate * assumed.backlog_s * measured.queue.bytes_a_prepare,
        redis_compared=COMPARED_WITH * reconcile.BATCHES_A_RUN / RECONCILE_EVERY_S,
        keys=rate * BLOBS_A_JOB * assumed.blobs_kept_days * DAY_S,
        puts=rate * (a_file.put + a_file.post + a_file.list),
        gets=rate * (a_file.get + a_file.head),
        bucket_bytes_a_day=rate * DAY_S * (load.upload_bytes + load.audio_s * assumed.flac_bytes_per_audio_s),
        ingest_bytes=rate * load.upload_bytes,
        ingest_cores=rate / ends.uploads_per_s_a_core + rate * load.upload_bytes / ends.upload_bytes_per_s_a_core,
    )


def _of_job(load: Load, measured: Measured) -> StoreCosts:
    if load.chunks == 1:
        return added((1, measured.short_job), (1, measured.webhook))
    return added((1, measured.long_job), (load.chunks, measured.chunk), (1, measured.webhook))


def _requests(load: Load, measured: Measured, assumed: Assumed) -> Requests:
    """Return the counted requests of small blobs plus the additional ones of large blobs."""
    if load.chunks == 1:
        return measured.requests_short
    long, chunk = measured.requests_long, measured.requests_chunk
    asked = {name: getattr(long, name) + load.chunks * getattr(chunk, name) for name in _names(Requests)}
    flac_bytes = load.audio_s * assumed.flac_bytes_per_audio_s
    pieces = flac_bytes / load.chunks
    source, whole, piece = extra_puts(load.upload_bytes), extra_puts(flac_bytes), extra_puts(pieces)
    asked["put"] += source + whole + 2 * load.chunks * piece  # a chunk and its denoised copy
    asked["get"] += extra_gets(load.upload_bytes) + 2 * load.chunks * extra_gets(pieces)
    return Requests(**asked)


def extra_puts(blob_bytes: float) -> int:
    """Return the additional requests to put a blob: its parts, and one each to start and complete."""
    return 0 if blob_bytes < PART_BYTES else math.ceil(blob_bytes / PART_BYTES) + 1


def extra_gets(blob_bytes: float) -> int:
    """Return the additional requests to get a blob."""
    return max(1, math.ceil(blob_bytes / DOWNLOAD_BYTES)) - 1


def added(*parts: tuple[float, StoreCosts]) -> StoreCosts:
    """Return the weighted sum of costs."""
    return StoreCosts(
        **{name: sum(times * getattr(cost, name) for times, cost in parts) for name in _names(StoreCosts)}
    )


def _names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_fields__


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an installation: the need of a load, its usable capacity, and what replaces it beyond that."""

    name: str
    need: float
    end: float
    unit: str
    takes_over: str

    @property
    def how_many(self) -> int:
        return max(1, math.ceil(self.need / self.end))


def _erased_per_s(measured: Measured, ends: Ends) -> float:
    """Return the jobs that one worker erases a second from a store that is never the limit."""
    return measured.erasing[MEMORY].jobs_a_s * ends.erased


def parts(load: Load, measured: Measured, assumed: Assumed | None = None, ends: Ends | None = None) -> list[Part]:
    """Return the parts, the most overloaded first."""
    found, ends = needs(load, measured, assumed), ends or Ends()
    rows = [
        ("Redis, CPU of its thread", found.redis_cores, ends.redis_cores, "cores", "several Redis"),
        ("Redis, dispatches", found.tasks, measured.queue.rings_a_s / 2, "/s", "several Redis"),
        ("Postgres, connections of PgBouncer", found.pooled_connections, ends.connections, "", "a Postgres a cell"),
        ("Postgres, CPU", found.postgres_cores, ends.postgres_cores, "cores", "a Postgres a cell"),
        ("Postgres, WAL", found.wal_bytes / 1e6, ends.wal_bytes_per_s / 1e6, "MB/s", "a Postgres a cell"),
        ("Postgres, rows of a partition", found.rows_of_slice / 1e6, ends.rows / 1e6, "million", "shorter slices"),
        ("deletion by age", load.uploads_per_s, _erased_per_s(measured, ends), "jobs/s", "more processors, up to four"),
        ("search for orphans", found.keys / 1e6, ends.keys / 1e6, "million blobs", "the bucket's own inventory"),
        ("bucket, PUT and LIST", found.puts, ends.puts_per_s, "/s", "a prefix or bucket a cell"),
        ("bucket, GET and HEAD", found.gets, ends.gets_per_s, "/s", "a prefix or bucket a cell"),
        ("ingest, network", found.ingest_bytes / 1e9, ends.nic_bytes_per_s / 1e9, "GB/s", "more ingests"),
        ("ingest, cores", found.ingest_cores, 16.0, "cores", "more ingests"),
    ]
    made = [Part(name=name, need=need, end=end, unit=unit, takes_over=other) for name, need, end, unit, other in rows]
    return sorted(made, key=lambda part: -part.need / part.end)
