"""The processor's settings; each field is `HEADRACE_<NAME>`."""

import os
from typing import Annotated, Literal

import msgspec

from processor_service.denoisers import DenoiserSettings, why_not
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.transcribers.transcriber import NO_ENGINE
from shared.schemas.options import WEBHOOK_SECRET_FORM, is_webhook_secret
from shared.settings import CommonSettings
from shared.telemetry.traces import why_untraceable

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class ProcessorSettings(CommonSettings, frozen=True, kw_only=True):
    """Read once at start by `__main__` and passed down."""

    transcriber: str = "openai-whisper"  # the engine: openai-whisper, faster-whisper, none, or scripted (for tests)
    providers: tuple[ProviderSettings, ...] = ()  # remote engines that are asked first, in this order
    model: str = "base"  # a name of the catalogue, or the path of a checkpoint or, for faster-whisper, of a folder
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where the model runs; auto: on a GPU where there is one
    model_dir: str = "~/.cache/headrace/models"  # where fetched models are kept
    denoiser: str = "noisereduce"  # or deepfilternet, its extra installed
    noisereduce_stationary: bool = False  # one background for a whole chunk rather than one that follows it
    denoise_strength: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # how much of what is found to be noise goes
    slots: Annotated[int, msgspec.Meta(ge=1)] = 1  # compute tasks at once; each holds a warm model, 0.7 to 1.1 GB
    deliveries: Annotated[int, msgspec.Meta(ge=1)] = 50  # webhooks at once
    threads: int = os.cpu_count() or 1  # cores shared by the slots that are busy
    scratch_dir: str = ""  # for decoded audio under way; empty: the system's temporary folder
    chunk_threshold_s: Positive = 1800.0  # longer files are cut
    chunk_s: Positive = 600.0  # into chunks of about this length
    max_audio_seconds: Positive = 24 * 3600.0
    retry_waits_s: tuple[float, ...] = (10.0, 20.0, 40.0)  # after the first, second, … failed attempt
    lease_s: Positive = 15.0  # a worker that is silent for longer has lost its tasks
    stage_timeout_s: Positive = 120.0  # a compute step that takes longer is killed, but for …
    slowest_speed: Positive = 0.1  # … the time that its audio takes at this speed (audio-seconds a second)
    child_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0  # of one compute child; 0: 4 GiB and thrice the model
    grace_s: Positive = 10.0  # how long a stopping worker lets running tasks finish
    poll_s: Positive = 0.1  # how often the queues are looked at
    fetch_timeout_s: Positive = 3600.0  # for fetching one source
    fetch_silence_s: Positive = 30.0  # for its server to answer, or to send anything
    webhook_secret: str = ""  # signs for jobs that brought no secret of their own
    webhook_previous_secret: str = ""  # signs besides while receivers change to a new one
    webhook_timeout_s: Positive = 15.0
    webhook_waits_s: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)  # between attempts
    webhook_allow_private: Literal["false", "loopback", "true"] = "false"  # not public addresses; sources, too
    webhook_schemes: tuple[Literal["http", "https"], ...] = ("http", "https")
    webhook_ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=65535)], ...] = ()  # empty: any; sources, too
    retention_s: NotNegative = 0.0  # jobs that ended longer ago are erased; 0: never
    retention_audio_s: NotNegative = 0.0  # the same for their audio alone
    retention_webhook_log_s: Positive = 30 * 24 * 3600.0  # webhook attempts older than this are forgotten
    orphan_age_s: Positive = 3600.0  # blobs that no job knows are deleted when they are older
    health_host: str = "127.0.0.1"  # the address that the health port listens on
    health_port: int = 0  # liveness, readiness and metrics; 0: none

    def denoiser_settings(self) -> DenoiserSettings:
        return DenoiserSettings(
            name=self.denoiser, is_stationary=self.noisereduce_stationary, strength=self.denoise_strength
        )

    def __post_init__(self) -> None:
        if problem := self.why_unreachable() or why_untraceable(self.otlp_url):
            raise ValueError(problem)
        if problem := why_not(self.denoiser):
            raise ValueError(f"HEADRACE_DENOISER is invalid: {problem}")
        if self.transcriber == NO_ENGINE and not self.providers:
            raise ValueError("HEADRACE_TRANSCRIBER=none needs HEADRACE_PROVIDERS")
        for name in ("webhook_secret", "webhook_previous_secret"):
            secret = getattr(self, name)
            if secret and not is_webhook_secret(secret):
                raise ValueError(f"HEADRACE_{name.upper()} is invalid: {WEBHOOK_SECRET_FORM}")
