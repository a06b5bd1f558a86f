"""The processor's settings; each field is `HEADRACE_<NAME>`."""

import os
from typing import Annotated

import msgspec

from shared.settings import CommonSettings

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ProcessorSettings(CommonSettings, frozen=True, kw_only=True):
    """Read once at start by `__main__` and passed down."""

    transcriber: str = "openai-whisper"  # the engine: openai-whisper, or scripted (for tests)
    model: str = "base"  # a name of the catalogue, or the path of an openai-whisper checkpoint
    model_dir: str = "~/.cache/headrace/models"  # where fetched models are kept
    slots: Annotated[int, msgspec.Meta(ge=1)] = 1  # compute tasks at once; each holds a warm model, 0.7 to 1.1 GB
    deliveries: Annotated[int, msgspec.Meta(ge=1)] = 50  # webhooks at once
    threads: int = os.cpu_count() or 1  # cores shared by the slots that are busy
    scratch_dir: str = ""  # for decoded audio under way; empty: the system's temporary folder
    chunk_threshold_s: Positive = 1800.0  # longer files are cut
    chunk_s: Positive = 600.0  # into chunks of about this length
    max_audio_seconds: Positive = 24 * 3600.0
    retry_waits_s: tuple[float, ...] = (10.0, 20.0, 40.0)  # after the first, second, … failed attempt
    lease_s: Positive = 15.0  # a worker that is silent for longer has lost its tasks
    stage_timeout_s: Positive = 3600.0  # a compute step that takes longer is killed
    grace_s: Positive = 10.0  # how long a stopping worker lets running tasks finish
    poll_s: Positive = 0.1  # how often the queues are looked at
    webhook_secret: str = ""  # signs for jobs that brought no secret of their own
    webhook_timeout_s: Positive = 15.0
    health_port: int = 0  # liveness and readiness on loopback; 0: none
