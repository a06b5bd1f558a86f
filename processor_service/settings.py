"""The processor's settings. Each field is the environment variable `HEADRACE_<NAME>`."""

import os
from typing import Annotated, Literal

import msgspec

from processor_service.denoisers import DenoiserSettings, why_not
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.summaries.chat_settings import ChatProviderSettings
from processor_service.transcribers.engines import DEFAULT_ENGINE, NO_ENGINE, why_unavailable
from shared.queue.dispatch import DEFAULT_QUEUE_NAME
from shared.schemas.options import QueueName
from shared.schemas.webhooks import WEBHOOK_SECRET_FORM, is_webhook_secret
from shared.secret import Secret
from shared.settings import CommonSettings
from shared.telemetry.traces import why_no_tracing

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class ProcessorSettings(CommonSettings, frozen=True, kw_only=True):
    """`__main__` reads them once at the start and passes them down."""

    transcriber: str = DEFAULT_ENGINE  # the engine: openai-whisper, faster-whisper, none, or scripted (for tests)
    providers: tuple[ProviderSettings, ...] = ()  # remote engines, asked first and in this order
    chat_providers: tuple[ChatProviderSettings, ...] = ()  # of summaries, chapters and action items, in this order
    summaries: Annotated[int, msgspec.Meta(ge=1)] = 4  # concurrent jobs that wait for chat providers
    summary_timeout_s: Positive = 1800.0  # for the requests of a job, in all attempts
    summary_requests: Annotated[int, msgspec.Meta(ge=1)] = 100  # of a job to chat providers, in all attempts
    model: str = "base"  # a name from the catalogue, or the path of a checkpoint or (faster-whisper) a folder
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where the model runs; auto: a GPU if available
    model_dir: str = "~/.cache/headrace/models"  # the folder of fetched models
    denoiser: str = "noisereduce"  # or deepfilternet, which needs its extra
    noisereduce_stationary: bool = False  # estimate the noise once a chunk instead of continuously
    denoise_strength: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # the share of the detected noise to remove
    slots: Annotated[int, msgspec.Meta(ge=1)] = 1  # concurrent compute tasks; each uses a warm model, 0.7 to 1.1 GB
    deliveries: Annotated[int, msgspec.Meta(ge=1)] = 50  # concurrent webhook requests
    threads: int = os.cpu_count() or 1  # shared by the busy slots
    scratch_dir: str = ""  # the folder of decoded audio; empty: the system's temporary folder
    chunk_threshold_s: Positive = 1800.0  # longer files are split
    chunk_s: Positive = 600.0  # into chunks of about this length
    max_audio_seconds: Positive = 24 * 3600.0
    # What a job may write (decoded, denoised, transcribed): a multiple of its source, within the two bounds in bytes.
    derived_ratio: Positive = 200.0
    derived_least_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 << 20
    derived_most_bytes: Annotated[int, msgspec.Meta(ge=1)] = 32 << 30
    retry_waits_s: tuple[float, ...] = (10.0, 20.0, 40.0)  # after the first, second, … failed attempt
    lease_s: Positive = 15.0  # a worker without a heartbeat for so long loses its tasks
    stage_timeout_s: Positive = 120.0  # the time limit of a compute step, plus …
    slowest_speed: Positive = 0.1  # … its audio at this speed (seconds of audio a second)
    child_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0  # of a compute child; 0: 4 GiB and 3 times the model
    grace_s: Positive = 10.0  # how long a stopping worker lets running tasks finish
    queues: Annotated[tuple[QueueName, ...], msgspec.Meta(min_length=1)] = (
        DEFAULT_QUEUE_NAME,  # that the slots serve: a task of a later one starts while none of an earlier one waits
    )
    poll_s: Positive = 5.0  # between two looks at an empty queue; enqueuing wakes a worker at once
    fetches: Annotated[int, msgspec.Meta(ge=1)] = 16  # concurrent fetches of sources at an `audio_url`
    fetches_per_tenant: Annotated[int, msgspec.Meta(ge=1)] = 8  # of these; fewer while other tenants fetch
    fetches_per_host: Annotated[int, msgspec.Meta(ge=1)] = 8  # the same for one server
    fetch_least_bytes_per_s: Annotated[int, msgspec.Meta(ge=1)] = 4096  # a slower server fails; more for large sources
    fetch_timeout_s: Positive = 3600.0  # for fetching one source
    fetch_silence_s: Positive = 30.0  # for its server to answer or to send data
    webhook_secret: Secret = Secret("")  # signs the webhooks of jobs without their own secret
    webhook_previous_secret: Secret = Secret("")  # signs in addition, while receivers change to a new secret
    webhook_timeout_s: Positive = 15.0
    webhook_waits_s: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)  # between attempts
    webhook_allow_private: Literal["false", "loopback", "true"] = "false"  # also private addresses; for sources too
    webhook_schemes: tuple[Literal["http", "https"], ...] = ("http", "https")
    webhook_ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=65535)], ...] = ()  # empty: any; for sources too
    webhook_pause_after_s: Positive = 3 * 24 * 3600.0  # a tenant's endpoint that fails for so long is paused
    webhook_transcript_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256 << 10  # a larger transcript is not in the body
    retention_s: NotNegative = 0.0  # jobs are erased so long after they ended; 0: never
    retention_audio_s: NotNegative = 0.0  # the same for their audio only
    retention_webhook_log_s: Positive = 30 * 24 * 3600.0  # webhook attempts are deleted at this age
    retention_tombstones_s: NotNegative = 0.0  # rows of erased jobs are dropped so long after; 0: never
    failed_chunks_s: NotNegative = 3 * 24 * 3600.0  # chunks of failed jobs are kept so long for a redrive
    failed_chunks_bytes: Annotated[int, msgspec.Meta(ge=0)] = 10 << 30  # … and so many; the oldest are deleted first
    orphan_age_s: Positive = 3600.0  # orphaned blobs are deleted at this age; the least time between two searches
    storage_inventory: Annotated[
        str, msgspec.Meta(pattern=r"^(s3://[^/@]+/.+)?$", description="empty, or a folder such as s3://bucket/folder")
    ] = ""  # with the bucket's own inventories, which are read instead of listings; empty: none
    health_host: str = "127.0.0.1"  # the address of the health port
    health_port: int = 0  # serves liveness, readiness and metrics; 0: none

    def denoiser_settings(self) -> DenoiserSettings:
        return DenoiserSettings(
            name=self.denoiser, is_stationary=self.noisereduce_stationary, strength=self.denoise_strength
        )

    def __post_init__(self) -> None:
        if problem := self.why_unreachable() or self.why_unusable() or why_no_tracing(self.otlp_url.reveal()):
            raise ValueError(problem)
        if problem := why_not(self.denoiser):
            raise ValueError(f"HEADRACE_DENOISER is invalid: {problem}")
        if problem := why_unavailable(self.transcriber):
            raise ValueError(f"HEADRACE_TRANSCRIBER is invalid: {problem}")
        if self.transcriber == NO_ENGINE and not self.providers:
            raise ValueError("HEADRACE_TRANSCRIBER=none needs HEADRACE_PROVIDERS")
        if self.derived_least_bytes > self.derived_most_bytes:
            raise ValueError("HEADRACE_DERIVED_LEAST_BYTES is above HEADRACE_DERIVED_MOST_BYTES")
        for name in ("webhook_secret", "webhook_previous_secret"):
            secret = getattr(self, name)
            if secret and not is_webhook_secret(secret.reveal()):
                raise ValueError(f"HEADRACE_{name.upper()} is invalid: {WEBHOOK_SECRET_FORM}")
