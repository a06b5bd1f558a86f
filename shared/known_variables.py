"""The names of all `HEADRACE_*` variables of both services, to find the unknown ones in an environment.

The services do not import each other, but both may get the same environment: each must know the other's names.
tests/unit/boundaries/test_settings.py compares these lists with the settings.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from shared.environment import PREFIX

_BOTH = """
database_url database_pooler database_direct_url redis_url storage_url storage_timeout_s storage_retry_s
max_upload_bytes min_free_bytes fetch_schemes interactive_share log_format log_level otlp_url trace_sample failpoints
voices
max_upload_bytes min_free_bytes fetch_schemes source_buckets result_buckets encryption_keys interactive_share
log_format log_level otlp_url trace_sample failpoints
"""
_INGEST = """
database_replica_url
host port auth allowed_hosts ingest_processes fsync idempotency_hours attach_s upload_expires_hours access_log_sample
metrics_dir presigned_uploads presigned_downloads cors_origins quota_bytes_a_day quota_audio_seconds_a_day
quota_jobs_queued quota_uploads_at_once rate_limit rate_burst tenant_rate_limit max_connections
max_connections_of_address max_event_streams max_event_streams_of_tenant max_event_streams_of_key hang_up_grace_s
max_open_uploads max_upload_parts max_ended_uploads unread_answer_bytes renders_at_once render_cache_bytes
subtitle_max_chars subtitle_max_lines subtitle_max_seconds model_aliases queue_names model_queues wait_max_s
asr_routes console
"""
_PROCESSOR = """
transcriber providers chat_providers summaries summary_timeout_s summary_requests
model device model_dir denoiser noisereduce_stationary denoise_strength slots deliveries
threads scratch_dir chunk_threshold_s chunk_s max_audio_seconds derived_ratio derived_least_bytes
derived_most_bytes retry_waits_s lease_s stage_timeout_s slowest_speed child_memory_bytes grace_s queues poll_s
fetches fetches_per_tenant fetches_per_host fetch_least_bytes_per_s fetch_timeout_s fetch_silence_s
webhook_secret webhook_previous_secret webhook_timeout_s webhook_waits_s webhook_allow_private webhook_schemes
webhook_ports webhook_pause_after_s webhook_transcript_bytes
retention_s retention_audio_s retention_webhook_log_s retention_tombstones_s failed_chunks_s
failed_chunks_bytes orphan_age_s storage_inventory health_host health_port
"""
_PROVIDER_SETTINGS = """
url model key times max_bytes max_seconds timeout_s silence_s failures cool_down_s
"""
_CHAT_PROVIDER_SETTINGS = """
url model key format context_tokens answer_tokens limit at_once timeout_s failures cool_down_s
"""

SETTINGS = frozenset(PREFIX + name.upper() for name in (_BOTH + _INGEST + _PROCESSOR).split())
CLIENT_VARIABLES = frozenset({"HEADRACE_URL", "HEADRACE_API_KEY"})  # of the command `headrace`: no service reads them
PROVIDER_ENDINGS = tuple(name.upper() for name in _PROVIDER_SETTINGS.split())
CHAT_PROVIDER_ENDINGS = tuple(name.upper() for name in _CHAT_PROVIDER_SETTINGS.split())
PROVIDER = re.compile(rf"{PREFIX}PROVIDER_([A-Z0-9_]+?)_({'|'.join(PROVIDER_ENDINGS)})")
CHAT_PROVIDER = re.compile(rf"{PREFIX}CHAT_PROVIDER_([A-Z0-9_]+?)_({'|'.join(CHAT_PROVIDER_ENDINGS)})")
ANY_PROVIDER = re.compile(rf"{PREFIX}PROVIDER_([A-Z0-9]+)_[A-Z0-9_]+")
# Kubernetes sets these in every pod for each Service of its namespace. A Service named headrace-ingest sets
# HEADRACE_INGEST_SERVICE_HOST, HEADRACE_INGEST_PORT=tcp://… and more.
SERVICE_HOST = "_SERVICE_HOST"
KUBERNETES_SERVICE = re.compile(
    r"_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class UnknownVariable(NamedTuple):
    """A variable that no setting reads, and the setting with the most similar name, if one is similar."""

    name: str
    nearest: str | None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.name} is set, but there is no such setting{hint}"


def unknown_variables(environ: Mapping[str, str]) -> list[UnknownVariable]:
    """Return the `HEADRACE_*` variables that neither service reads, by name. Reads only the providers' names."""
    names = sorted(name for name in environ if name.startswith(PREFIX))
    services = [name.removesuffix(SERVICE_HOST) for name in names if name.endswith(SERVICE_HOST)]
    providers = {name.strip().upper() for name in environ.get(f"{PREFIX}PROVIDERS", "").split(",") if name.strip()}
    return [
        UnknownVariable(name, _nearest(name, providers))
        for name in names
        if name not in SETTINGS | CLIENT_VARIABLES
        and not PROVIDER.fullmatch(name)
        and not CHAT_PROVIDER.fullmatch(name)
        and not _is_from_kubernetes(name, services)
    ]


def _is_from_kubernetes(name: str, services: Iterable[str]) -> bool:
    return any(KUBERNETES_SERVICE.fullmatch(name.removeprefix(one)) for one in services if name.startswith(one))


def _nearest(name: str, providers: Iterable[str]) -> str | None:
    listed = [f"{PREFIX}PROVIDER_{one}_" for one in providers]
    unlisted = ANY_PROVIDER.fullmatch(name)
    of_providers = listed or ([f"{PREFIX}PROVIDER_{unlisted[1]}_"] if unlisted else [])
    known = [*SETTINGS, *(prefix + ending for prefix in of_providers for ending in PROVIDER_ENDINGS)]
    # Compared without the prefix, which makes any two names similar.
    endings = sorted(one.removeprefix(PREFIX) for one in known)
    found = get_close_matches(name.removeprefix(PREFIX).upper(), endings, n=1)
    return PREFIX + found[0] if found else None
