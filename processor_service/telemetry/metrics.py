"""What a processor counts, by name; whoever does the thing counts it. `/metrics` of the health port shows them.

A name is for good: dashboards and alerts stand on it. No label tells of a job or a tenant.
"""

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import (
    ChunkProcessed,
    DenoiseChunk,
    FindVoices,
    Prepared,
    ProcessChunk,
    Reply,
    Request,
)
from processor_service.denoisers import DENOISERS
from processor_service.transcribers import ENGINES
from processor_service.transcribers.transcriber import NO_ENGINE
from shared.schemas.failures import FailureCode
from shared.schemas.states import TaskKind
from shared.telemetry.count_board import Board
from shared.telemetry.process_gauges import LAG_SECONDS, LAG_TEXT, PoolGauges

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
WAITS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 6 * 3600, 24 * 3600, 3 * 24 * 3600)
SPEEDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

OUTCOMES = ("done", "failed", "crashed", "interrupted", "lease_lost", "postponed", "unsettled")
OTHER = "other"
UPKEEP = (
    *("wake", "rescue", "reconcile", "prune", "dead_letters", "erase", "idempotency_keys", "orphans", "uploads"),
    *("upload_parts", "direct_uploads", "usage"),
)

# What a stage is done by. Remote engines are one: their names are the operator's.
BUILTIN, REMOTE = "builtin", "remote"
STAGES = (
    ("decode", BUILTIN),
    *(("transcribe", engine) for engine in (*ENGINES, REMOTE) if engine != NO_ENGINE),
    *(("denoise", denoiser) for denoiser in DENOISERS),
    ("find_voices", BUILTIN),
)
BY_STAGE = (("stage", "engine"), STAGES)

BOARD = Board()

ATTEMPTS = BOARD.counters_by_pair(
    (("kind", "outcome"), [(kind, outcome) for kind in TaskKind for outcome in OUTCOMES]),
    "headrace_processor_attempts_total",
    "Attempts at tasks that ended, by how. Interrupted and postponed ones go on later, and count for no task.",
)
FAILURES = BOARD.counters_by(
    ("code", FailureCode), "headrace_processor_failures_total", "Failed attempts, by the code of the failure."
)
DEAD_LETTERS = BOARD.counters_by(
    ("kind", TaskKind), "headrace_processor_dead_letters_total", "Tasks that were given up."
)
RUNNING = BOARD.gauges_by(("kind", TaskKind), "headrace_processor_tasks_running", "Tasks under lease here.")
UPKEEP_DISPATCHES = BOARD.counters_by(
    ("upkeep", (*UPKEEP, OTHER)),
    "headrace_processor_upkeep_dispatches_total",
    "Tasks that upkeep dispatched: rescued from lost workers, awake for their next attempt, rung for again, ….",
)
UPKEEP_FAILURES = BOARD.counters_by(
    ("upkeep", (*UPKEEP, OTHER)), "headrace_processor_upkeep_failures_total", "Turns of upkeep that broke off."
)

SLOTS = BOARD.gauges_by(("state", ("used", "idle")), "headrace_processor_slots", "Slots for compute tasks.")
POLL_AGE = BOARD.gauge("headrace_processor_poll_age_seconds", "Since the queues were last looked at.")
CHILDREN = BOARD.gauge("headrace_processor_compute_children", "Compute children that live.")
CHILDREN_BYTES = BOARD.gauge(
    "headrace_processor_compute_children_resident_bytes", "Memory of the compute children, all together."
)
CHILD_PEAK_BYTES = BOARD.gauge(
    "headrace_processor_compute_child_resident_peak_bytes", "The most that one of those who live ever had."
)
CHILD_RESTARTS = BOARD.counter(
    "headrace_processor_compute_child_restarts_total",
    "Compute children replaced: they crashed, took too long, or their task was taken away.",
)

STAGE_SPEED = BOARD.histograms_by_pair(
    BY_STAGE,
    "headrace_processor_stage_speed_ratio",
    "Seconds of audio worked through in a second, once for each chunk or file: above 1 is faster than it is heard.",
    SPEEDS,
)
STAGE_AUDIO = BOARD.counters_by_pair(
    BY_STAGE, "headrace_processor_stage_audio_seconds_total", "Seconds of audio worked through."
)
STAGE_BUSY = BOARD.counters_by_pair(
    BY_STAGE, "headrace_processor_stage_busy_seconds_total", "Seconds that it took, over all slots."
)

WEBHOOK_ATTEMPTS = BOARD.counters_by(
    ("result", ("delivered", "refused", "no_answer", "blocked", "unsigned")),
    "headrace_processor_webhook_attempts_total",
    "Attempts to deliver a webhook, by what came of them.",
)
WEBHOOK_SECONDS = BOARD.histogram(
    "headrace_processor_webhook_attempt_seconds", "How long endpoints took to answer, or not to.", SECONDS
)
WEBHOOK_LAG = BOARD.histogram(
    "headrace_processor_webhook_lag_seconds",
    "From the end of a job, or the order to send its webhook again, to the delivery.",
    WAITS,
)

POOL = PoolGauges(BOARD, "headrace_processor")
LOOP_LAG = BOARD.histogram("headrace_processor_event_loop_lag_seconds", LAG_TEXT, LAG_SECONDS)


# Counts how fast a stage went: the seconds of audio that it worked through in a second.


def count_answer(request: Request, reply: Reply, took_s: float) -> None:
    """A compute child answered. What it transcribes and denoises at one request it timed itself."""
    match request, reply:
        case _, Prepared(audio=audio):
            count_stage("decode", BUILTIN, audio.duration_s, took_s)
        case ProcessChunk(chunk=chunk, denoiser=denoiser), ChunkProcessed():
            if not request.heard:
                count_stage("transcribe", reply.transcript.engine, duration_of(chunk), reply.transcribed_in_s)
            count_stage("denoise", denoiser.name, duration_of(chunk), reply.denoised_in_s)
        case DenoiseChunk(what=what), _:
            count_stage("denoise", what.denoiser.name, duration_of(what.chunk), took_s)
        case FindVoices(chunk=chunk), _:
            count_stage("find_voices", BUILTIN, duration_of(chunk), took_s)


def count_heard_remotely(chunk: ChunkFile, took_s: float) -> None:
    """A remote engine transcribed a chunk, whichever it was and whoever failed before it."""
    count_stage("transcribe", REMOTE, duration_of(chunk), took_s)


def count_stage(stage: str, engine: str, audio_s: float, took_s: float) -> None:
    """A stage that took no time was not done."""
    if took_s <= 0 or (stage, engine) not in STAGE_SPEED:
        return
    STAGE_SPEED[stage, engine].observe(audio_s / took_s)
    STAGE_AUDIO[stage, engine].inc(audio_s)
    STAGE_BUSY[stage, engine].inc(took_s)


def duration_of(chunk: ChunkFile) -> float:
    """Seconds of the core, which is what a chunk adds to its file."""
    return (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
