"""Names and numbers that processes of different versions share. They never change."""

from uuid import UUID

from deploy.migrate import ADVISORY_LOCK
from ingest_service.auth.key_listener import CHANNEL
from ingest_service.quotas import rate_limiter as shared_buckets
from processor_service.maintenance.dead_letters import PROJECTED
from processor_service.maintenance.loop import LOCK_CLASS
from shared import window_feed
from shared.blobs import blob_keys
from shared.connections import tenancy
from shared.job_hints import channel_of
from shared.queue import announced_models, fair_shares
from shared.queue import dispatch as messages
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.failures import DEAD_LETTER_LIST
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.schemas.webhook_events import EventType, event_id
from shared.telemetry import day_history, samples, traces

ID = UUID("01990000-0000-7000-8000-000000000001")
# A job has them only if it wants a summary. Chat providers are set after the upgrade: older versions cannot read them.
SINCE_SUMMARIES = (Stage.SUMMARIZE, TaskKind.SUMMARIZE)
SPREADING_ID = UUID("01990000-0000-8000-8000-000000000001")


def names() -> dict[str, object]:
    """Return each shared name or number by its purpose."""
    return {
        "redis queues": [messages.COMPUTE_QUEUE, messages.DELIVERY_QUEUE],
        "redis keys of arq": [messages.ARQ_JOB_KEY_PREFIX],
        "redis keys of fair shares": [*fair_shares.keys_of("Q")[:4], f"{fair_shares.CHUNKS_PREFIX}Q:"],
        "redis keys of the interactive class": list(fair_shares.keys_of("Q")[5:9]),
        "redis keys of taken tasks and of wake-ups": list(fair_shares.keys_of("Q")[9:]),
        "redis scores": [fair_shares.MIN_SCORE, fair_shares.MAX_SCORE],
        "redis scores of interactive tasks": fair_shares.BAND,
        "redis key of rates": shared_buckets.KEY,
        "redis key of processors": [messages.PROCESSOR_SEEN_KEY, messages.PROCESSOR_SEEN_TTL_MS],
        "redis channel of a job": channel_of(ID),
        "redis key of models": [
            announced_models.MODELS_KEY,
            announced_models.ANY_MODEL,
            announced_models.ANNOUNCES.decode(),
        ],
        "redis queue and key of summaries": [messages.SUMMARY_QUEUE, announced_models.SUMMARIES_KEY],
        "redis key of windows": [window_feed.KEY_PREFIX, window_feed.FIELD.decode()],
        "redis keys of samples": [
            samples.INSTANCES_KEY,
            samples.samples_key(samples.PROCESSOR_JOB, "i"),
            day_history.hour_key(9),
            day_history.field(61, day_history.BACKLOG_TASKS),
            list(day_history.NAMES),
        ],
        "redis lists": [DEAD_LETTER_LIST, PROJECTED],
        "arq function": messages.ARQ_FUNCTION,
        "arq id": Dispatch(ID, 3, TaskKind.CHUNK).arq_id,
        "what a second of audio costs": cost_s(TaskKind.CHUNK, duration_s=1.0),
        "blob keys": _blob_keys(),
        "blob keys of peaks": [blob_keys.peaks(ID, 2), blob_keys.peaks_overview(ID, 2)],
        "blob key of the progress of a summary": blob_keys.summary_progress(ID, 2),
        "blob key of a direct upload": blob_keys.direct(ID),
        "blob keys that spread": [
            *blob_keys.all_of_job(SPREADING_ID, chunks=1),
            blob_keys.upload_part(SPREADING_ID, 5, 3),
            blob_keys.direct(SPREADING_ID),
        ],
        "webhook ids": [event_id(ID, 2, each) for each in EventType],
        "notify channel": CHANNEL,
        "tenants of a transaction": tenancy.begin("b", "a"),
        "advisory locks": [ADVISORY_LOCK, LOCK_CLASS],
        "first span": traces.first_span_id(ID),
        "states": [
            [one for one in each if one not in SINCE_SUMMARIES]
            for each in (JobStatus, Stage, TaskKind, TaskState, EventType)
        ],
        "stage and kind of summaries": [Stage.SUMMARIZE, TaskKind.SUMMARIZE],
    }


def _blob_keys() -> list[str]:
    of_chunk = (
        blob_keys.chunk_audio,
        blob_keys.chunk_denoised,
        blob_keys.chunk_transcript,
        blob_keys.chunk_voices,
    )
    of_job = blob_keys.denoised(ID, 2), blob_keys.transcript(ID, 2), blob_keys.source(ID), blob_keys.chunks(ID, 2)
    return [*(key(ID, 2, 7) for key in of_chunk), *of_job, blob_keys.upload_part(ID, 5, 3)]
