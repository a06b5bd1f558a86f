"""The metrics of a processor, shown at `/metrics` of the health port. The code that does the work updates them.

Names are stable: dashboards and alerts use them. No label contains a job or a tenant.
"""

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute import messages
from processor_service.denoisers import DENOISERS
from processor_service.summaries.read_answer import Usage
from processor_service.tasks.outcomes import (
    Crashed,
    Failed,
    Fetched,
    Interrupted,
    JobDone,
    LeaseLost,
    NotDelivered,
    Outcome,
    Postponed,
    StorageFull,
)
from processor_service.telemetry.traces import note_outcome
from processor_service.transcribers.engines import ENGINES, NO_ENGINE
from processor_service.webhooks.delivery_result import Answer, Blocked, NoAnswer, Result, Unsigned
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import TaskKind
from shared.telemetry.metric_registry import MetricRegistry
from shared.telemetry.process_gauges import LAG_SECONDS, LAG_TEXT, PoolGauges

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
WAITS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 6 * 3600, 24 * 3600, 3 * 24 * 3600)
SPEEDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

OUTCOMES = ("done", "failed", "crashed", "interrupted", "lease_lost", "postponed", "fetched", "unsettled")
OTHER = "other"
MAINTENANCE = (
    *("wake", "rescue", "reconcile", "prune", "dead_letters", "erase", "idempotency_keys", "orphans", "uploads"),
    *("upload_parts", "direct_uploads", "sessions", "usage", "webhook_tests", "webhook_log", "slices"),
)

# The stages and their engines. Remote engines share one label: their names are the operator's.
BUILTIN, REMOTE = "builtin", "remote"
STAGES = (
    ("decode", BUILTIN),
    *(("transcribe", engine) for engine in (*ENGINES, REMOTE) if engine != NO_ENGINE),
    *(("denoise", denoiser) for denoiser in DENOISERS),
    ("find_voices", BUILTIN),
)
BY_STAGE = (("stage", "engine"), STAGES)

METRIC_REGISTRY = MetricRegistry()

ATTEMPTS = METRIC_REGISTRY.counters_by(
    (("kind", "outcome"), [(kind, outcome) for kind in TaskKind for outcome in OUTCOMES]),
    "headrace_processor_attempts_total",
    "Ended attempts of tasks, by outcome. Interrupted, postponed and fetched ones are no attempts of the task.",
)
FAILURES = METRIC_REGISTRY.counters_by(
    ("code", FailureCode), "headrace_processor_failures_total", "Failed attempts, by failure code."
)
DEAD_LETTERS = METRIC_REGISTRY.counters_by(
    ("kind", TaskKind), "headrace_processor_dead_letters_total", "Tasks that failed permanently."
)
COMPLETED, FAILED = "completed", "failed"
JOBS_ENDED = METRIC_REGISTRY.counters_by(
    ("status", (COMPLETED, FAILED)),
    "headrace_processor_jobs_ended_total",
    "Jobs that this process completed or failed permanently.",
)
RUNNING = METRIC_REGISTRY.gauges_by(
    ("kind", TaskKind), "headrace_processor_tasks_running", "Tasks leased by this process."
)
MAINTENANCE_DISPATCHES = METRIC_REGISTRY.counters_by(
    ("upkeep", (*MAINTENANCE, OTHER)),
    "headrace_processor_upkeep_dispatches_total",
    "Tasks that maintenance dispatched: rescued from lost workers, due for the next attempt, missing in Redis, ….",
)
MAINTENANCE_FAILURES = METRIC_REGISTRY.counters_by(
    ("upkeep", (*MAINTENANCE, OTHER)),
    "headrace_processor_upkeep_failures_total",
    "Runs of maintenance loops that failed.",
)

SLOTS = METRIC_REGISTRY.gauges_by(
    ("state", ("used", "idle")), "headrace_processor_slots", "Slots for compute tasks, by state."
)
POLL_AGE = METRIC_REGISTRY.gauge("headrace_processor_poll_age_seconds", "Time since the queues were last polled.")
CHILDREN = METRIC_REGISTRY.gauge("headrace_processor_compute_children", "Running compute child processes.")
CHILDREN_BYTES = METRIC_REGISTRY.gauge(
    "headrace_processor_compute_children_resident_bytes", "Resident memory of all compute child processes."
)
CHILD_PEAK_BYTES = METRIC_REGISTRY.gauge(
    "headrace_processor_compute_child_resident_peak_bytes",
    "The highest peak of resident memory of a running compute child process.",
)
CHILD_RESTARTS = METRIC_REGISTRY.counter(
    "headrace_processor_compute_child_restarts_total",
    "Compute child processes replaced after a crash, a timeout or a cancellation.",
)

DISKS = ("scratch", "storage")
DISK_FREE = METRIC_REGISTRY.gauges_by(
    ("disk", DISKS), "headrace_processor_disk_free_bytes", "Free bytes of the local disks; 0 for a bucket."
)
DISK_FULL = METRIC_REGISTRY.gauges_by(
    ("disk", DISKS), "headrace_processor_disk_full", "1 while a disk has only HEADRACE_MIN_FREE_BYTES left."
)
DISK_WAITS = METRIC_REGISTRY.counter(
    "headrace_processor_disk_waits_total", "Tasks that were put back to wait for free disk space."
)

STAGE_SPEED = METRIC_REGISTRY.histograms_by(
    BY_STAGE,
    "headrace_processor_stage_speed_ratio",
    "Seconds of audio processed per second, per chunk or file. Above 1 is faster than real time.",
    SPEEDS,
)
STAGE_AUDIO = METRIC_REGISTRY.counters_by(
    BY_STAGE, "headrace_processor_stage_audio_seconds_total", "Seconds of audio processed."
)
STAGE_BUSY = METRIC_REGISTRY.counters_by(
    BY_STAGE, "headrace_processor_stage_busy_seconds_total", "Seconds spent processing, over all slots."
)

WEBHOOK_ATTEMPTS = METRIC_REGISTRY.counters_by(
    ("result", ("delivered", "refused", "no_answer", "blocked", "unsigned")),
    "headrace_processor_webhook_attempts_total",
    "Delivery attempts of webhooks, by result.",
)
WEBHOOK_SECONDS = METRIC_REGISTRY.histogram(
    "headrace_processor_webhook_attempt_seconds", "Duration of requests to webhook endpoints, answered or not.", SECONDS
)
WEBHOOK_LAG = METRIC_REGISTRY.histogram(
    "headrace_processor_webhook_lag_seconds",
    "Time from the end of a job, or the request to send its webhook again, to the delivery.",
    WAITS,
)
WEBHOOK_PAUSES = METRIC_REGISTRY.counter(
    "headrace_processor_webhook_pauses_total",
    "Endpoints of tenants that were paused: gone, or without a delivery for HEADRACE_WEBHOOK_PAUSE_AFTER_S.",
)

SUMMARY_REQUESTS = METRIC_REGISTRY.counters_by(
    ("result", ("answered", "failed")),
    "headrace_processor_summary_requests_total",
    "Questions to chat providers, by result; failed: no provider answered.",
)
SUMMARY_TOKENS = METRIC_REGISTRY.counters_by(
    ("kind", ("prompt", "completion")),
    "headrace_processor_summary_tokens_total",
    "Tokens of these questions and answers, as chat providers report them.",
)

POOL = PoolGauges(METRIC_REGISTRY, "headrace_processor")
LOOP_LAG = METRIC_REGISTRY.histogram("headrace_processor_event_loop_lag_seconds", LAG_TEXT, LAG_SECONDS)


LEASE_LOST, UNSETTLED = "lease_lost", "unsettled"
OUTCOME_LABELS = {
    NotDelivered: "failed",
    Failed: "failed",
    Crashed: "crashed",
    Interrupted: "interrupted",
    Postponed: "postponed",
    StorageFull: "postponed",
    Fetched: "fetched",
    LeaseLost: LEASE_LOST,
}


def outcome_label(outcome: Outcome) -> str:
    """The label of an outcome."""
    return OUTCOME_LABELS.get(type(outcome), "done")


def count_settled(kind: TaskKind, outcome: Outcome, *, has_dead_letter: bool) -> None:
    """Count an attempt whose outcome was committed."""
    ATTEMPTS[kind, outcome_label(outcome)].inc()
    note_outcome(outcome_label(outcome))
    if isinstance(outcome, StorageFull):
        DISK_WAITS.inc()
    if isinstance(outcome, NotDelivered | Failed | StorageFull):
        FAILURES[outcome.failure.code].inc()
    if isinstance(outcome, JobDone):
        JOBS_ENDED[COMPLETED].inc()
    if has_dead_letter:
        DEAD_LETTERS[kind].inc()
        if kind is not TaskKind.DELIVER:
            JOBS_ENDED[FAILED].inc()


def count_lost(kind: TaskKind, label: str) -> None:
    """Count an attempt without an outcome: the lease was lost, or the database was unavailable (`unsettled`)."""
    ATTEMPTS[kind, label].inc()
    note_outcome(label)


def count_answer(request: messages.Request, reply: messages.Reply, took_s: float) -> None:
    """Count the stages that a compute child did. It measured those itself that share one request."""
    match request, reply:
        case _, messages.Prepared(audio=audio):
            count_stage("decode", BUILTIN, audio.duration_s, took_s)
        case messages.ProcessChunk(chunk=chunk, denoiser=denoiser), messages.ChunkProcessed():
            if not request.provider_transcripts:
                count_stage("transcribe", reply.transcript.engine, duration_of(chunk), reply.transcribed_in_s)
            count_stage("denoise", denoiser.name, duration_of(chunk), reply.denoised_in_s)
        case messages.DenoiseChunk(what=what), _:
            count_stage("denoise", what.denoiser.name, duration_of(what.chunk), took_s)
        case messages.FindVoices(chunk=chunk), _:
            count_stage("find_voices", BUILTIN, duration_of(chunk), took_s)


def count_remote_transcription(chunk: ChunkFile, took_s: float) -> None:
    """Count the transcription of a chunk by remote engines, including failed providers."""
    count_stage("transcribe", REMOTE, duration_of(chunk), took_s)


def count_stage(stage: str, engine: str, audio_s: float, took_s: float) -> None:
    """Count a stage. One that took no time was not done."""
    if took_s <= 0 or (stage, engine) not in STAGE_SPEED:
        return
    STAGE_SPEED[stage, engine].observe(audio_s / took_s)
    STAGE_AUDIO[stage, engine].inc(audio_s)
    STAGE_BUSY[stage, engine].inc(took_s)


def duration_of(chunk: ChunkFile) -> float:
    """The length of the core in seconds."""
    return (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz


def count_summary_request(usage: Usage | None) -> None:
    """Count a question to chat providers. None: no provider answered."""
    SUMMARY_REQUESTS["failed" if usage is None else "answered"].inc()
    if usage is not None:
        SUMMARY_TOKENS["prompt"].inc(usage.prompt_tokens)
        SUMMARY_TOKENS["completion"].inc(usage.completion_tokens)


UNANSWERED_LABELS: dict[type, str] = {NoAnswer: "no_answer", Blocked: "blocked", Unsigned: "unsigned"}


def count_webhook(result: Result, failure: Failure | None, took_s: float, *, lag_s: float) -> None:
    """Count a delivery attempt. `lag_s` is the time since the request for it; it counts for deliveries only."""
    answered = "refused" if failure else "delivered"
    WEBHOOK_ATTEMPTS[UNANSWERED_LABELS.get(type(result), answered)].inc()
    if isinstance(result, Answer | NoAnswer):
        WEBHOOK_SECONDS.observe(took_s)
    if failure is None:
        WEBHOOK_LAG.observe(max(0.0, lag_s))
