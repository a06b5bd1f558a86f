"""The names of all `HEADRACE_*` variables of both services, and which variables of an environment are none of them.

The services do not import each other, but both may get the same environment, so each knows the other's names from here.
tests/boundaries/test_settings.py compares the lists with the settings.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from shared.settings import PREFIX

_OF_BOTH = """
database_url database_pooler database_direct_url redis_url storage_url storage_timeout_s storage_retry_s
max_upload_bytes fetch_schemes log_format log_level otlp_url trace_sample failpoints
"""
_OF_INGEST = """
host port auth ingest_processes fsync idempotency_hours upload_expires_hours access_log_sample metrics_dir
min_free_bytes presigned_uploads presigned_downloads cors_origins quota_bytes_a_day quota_audio_seconds_a_day
quota_jobs_queued quota_uploads_at_once rate_limit rate_burst subtitle_max_chars subtitle_max_lines
subtitle_max_seconds
"""
_OF_PROCESSOR = """
transcriber providers model device model_dir denoiser noisereduce_stationary denoise_strength slots deliveries
threads scratch_dir chunk_threshold_s chunk_s max_audio_seconds retry_waits_s lease_s stage_timeout_s
slowest_speed child_memory_bytes grace_s poll_s fetch_timeout_s fetch_silence_s webhook_secret
webhook_previous_secret webhook_timeout_s webhook_waits_s webhook_allow_private webhook_schemes webhook_ports
retention_s retention_audio_s retention_webhook_log_s orphan_age_s health_host health_port
"""
_OF_A_PROVIDER = """
url model key times max_bytes max_seconds timeout_s silence_s failures cool_down_s
"""

SETTINGS = frozenset(PREFIX + name.upper() for name in (_OF_BOTH + _OF_INGEST + _OF_PROCESSOR).split())
PROVIDER_ENDINGS = tuple(name.upper() for name in _OF_A_PROVIDER.split())
PROVIDER = re.compile(rf"{PREFIX}PROVIDER_([A-Z0-9_]+?)_({'|'.join(PROVIDER_ENDINGS)})")
OF_SOME_PROVIDER = re.compile(rf"{PREFIX}PROVIDER_([A-Z0-9]+)_[A-Z0-9_]+")
# Kubernetes gives these to every pod, for each Service of its namespace: one named headrace-ingest brings
# HEADRACE_INGEST_SERVICE_HOST, HEADRACE_INGEST_PORT=tcp://… and more.
SERVICE_HOST = "_SERVICE_HOST"
OF_A_SERVICE = re.compile(r"_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


class UnknownVariable(NamedTuple):
    """A variable that no setting reads, and the setting whose name is nearest; None when none is near."""

    name: str
    nearest: str | None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.name} is set, but there is no such setting{hint}"


def unknown_variables(environ: Mapping[str, str]) -> list[UnknownVariable]:
    """The `HEADRACE_*` variables that neither service reads, by name. Looks at no value but the providers' names."""
    names = sorted(name for name in environ if name.startswith(PREFIX))
    services = [name.removesuffix(SERVICE_HOST) for name in names if name.endswith(SERVICE_HOST)]
    providers = {name.strip().upper() for name in environ.get(f"{PREFIX}PROVIDERS", "").split(",") if name.strip()}
    return [
        UnknownVariable(name, _nearest(name, providers))
        for name in names
        if name not in SETTINGS and not PROVIDER.fullmatch(name) and not _is_of_a_service(name, services)
    ]


def _is_of_a_service(name: str, services: Iterable[str]) -> bool:
    return any(OF_A_SERVICE.fullmatch(name.removeprefix(one)) for one in services if name.startswith(one))


def _nearest(name: str, providers: Iterable[str]) -> str | None:
    listed = [f"{PREFIX}PROVIDER_{one}_" for one in providers]
    unlisted = OF_SOME_PROVIDER.fullmatch(name)
    of_providers = listed or ([f"{PREFIX}PROVIDER_{unlisted[1]}_"] if unlisted else [])
    known = [*SETTINGS, *(prefix + ending for prefix in of_providers for ending in PROVIDER_ENDINGS)]
    # Without the prefix, which would make any two names look alike.
    endings = sorted(one.removeprefix(PREFIX) for one in known)
    found = get_close_matches(name.removeprefix(PREFIX).upper(), endings, n=1)
    return PREFIX + found[0] if found else None
