"""The settings of the fleet's services. As in the chaos runs, short times make recovery fast."""

from collections.abc import Mapping

from tests.support.storage.stores import environment
from tests.tools.fleet.hosts import Host

SERVE_PORT, HEALTH_PORT = 8000, 8001
SLOTS = 2  # of each processor
LEASE_S = 5.0
THRESHOLD_S, CHUNK_S = 4.0, 2.0  # a file of 10 s has five chunks
ORPHAN_AGE_S = 15.0  # longer than an upload over the slow line takes from last byte to commit
RETRY_WAITS_S = (2.0, 4.0, 8.0)
TENANT = "fleet"
WEBHOOK_SECRET = "whsec_" + "c2VlZGVkLWZsZWV0LXNlY3JldC1vZi0zMi1ieXRlcw=="

INGEST: Mapping[str, str] = {
    "HEADRACE_AUTH": "required",
    "HEADRACE_PORT": str(SERVE_PORT),
    "HEADRACE_INGEST_PROCESSES": "1",
}
PROCESSOR: Mapping[str, str] = {
    "HEADRACE_HEALTH_PORT": str(HEALTH_PORT),
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_SLOTS": str(SLOTS),
    "HEADRACE_THREADS": "1",
    "HEADRACE_CHUNK_THRESHOLD_S": str(THRESHOLD_S),
    "HEADRACE_CHUNK_S": str(CHUNK_S),
    "HEADRACE_LEASE_S": str(LEASE_S),
    "HEADRACE_RETRY_WAITS_S": ",".join(map(str, RETRY_WAITS_S)),
    "HEADRACE_CHILD_MEMORY_BYTES": str(1 << 30),
    "HEADRACE_STAGE_TIMEOUT_S": "60",
    "HEADRACE_ORPHAN_AGE_S": str(ORPHAN_AGE_S),
    "HEADRACE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "HEADRACE_WEBHOOK_WAITS_S": "1,2,4,8",
    "HEADRACE_WEBHOOK_TIMEOUT_S": "3",
    "HEADRACE_WEBHOOK_ALLOW_PRIVATE": "true",  # the fleet's own network
}


def common(host: Host, *, database_url: str, redis_url: str, storage_url: str, s3_endpoint: str) -> dict[str, str]:
    """Return the settings that all services share: the three servers' URLs, storage timeouts and the log format.

    `database_url` has a query.
    """
    return {
        "TMPDIR": str(host.folder / "tmp"),
        "HEADRACE_DATABASE_URL": database_url,
        "HEADRACE_DATABASE_REPLICA_URL": f"{database_url}&target_session_attrs=standby",
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_STORAGE_URL": storage_url,
        "HEADRACE_STORAGE_TIMEOUT_S": "5",
        "HEADRACE_STORAGE_RETRY_S": "2",
        "HEADRACE_LOG_FORMAT": "json",
        **environment(s3_endpoint),
    }


def ingest(host: Host) -> dict[str, str]:
    return {**INGEST, "HEADRACE_HOST": host.address}


def processor(host: Host) -> dict[str, str]:
    return {**PROCESSOR, "HEADRACE_HEALTH_HOST": host.address, "HEADRACE_MODEL": str(host.folder / "model")}
