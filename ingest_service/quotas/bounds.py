"""Bounds on what a tenant may hold open or keep. At a bound the newest is refused with 429, which names the bound.

They are settings of the service and hold for every tenant; what a tenant may use in a day is in `quotas`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from ingest_service.errors import LimitError
from shared.telemetry.logs import Log

log = Log(__name__)

RETRY_S = 60  # when something will be closed is unknown
LOG_EVERY = 100  # refusals between two log lines

# Counted up to the bounds. A presigned upload is open as long as it can become a job.
COUNT_UPLOADS = """
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM uploads WHERE tenant = $1 AND completed_at IS NULL AND ended_at IS NULL AND expires_at > now()
            LIMIT $2) AS resumable)
        + (SELECT count(*) FROM (
            SELECT FROM direct_uploads
            WHERE tenant = $1 AND job_id IS NULL AND created_at > now() - make_interval(secs => $4)
            LIMIT $2) AS presigned) AS open_uploads,
        (SELECT count(*) FROM (
            SELECT FROM uploads
            WHERE tenant = $1 AND completed_at IS NULL AND (ended_at IS NOT NULL OR expires_at <= now())
            LIMIT $3) AS ended) AS ended_uploads
"""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds on a tenant's uploads."""

    open_uploads: int = 1_000
    parts: int = 10_000  # of one resumable upload
    ended_uploads: int = 20_000

    async def require_upload(self, connection: Any, tenant: str, presigned_kept_s: float) -> None:
        """Raise LimitError unless the tenant may open another upload. Call it under the tenant's lock."""
        arguments = tenant, self.open_uploads, self.ended_uploads, presigned_kept_s
        row = await connection.fetchrow(COUNT_UPLOADS, *arguments)
        for name in ("open_uploads", "ended_uploads"):
            if row[name] >= getattr(self, name):
                log.warning("uploads_refused", tenant=tenant, bound=name)
                raise bound_reached(name, getattr(self, name))


def bound_reached(name: str, most: int, code: str = "quota_exceeded") -> LimitError:
    """The error that names a bound."""
    return LimitError(code, f"Quota `{name}` exceeded: at most {most} are allowed.", RETRY_S)


class StreamBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds on the event streams of a process."""

    of_process: int = 10_000
    of_tenant: int = 5_000
    of_key: int = 2_500


class OpenStreams:
    """Counts the open event streams of a process."""

    def __init__(self, bounds: StreamBounds) -> None:
        self._bounds = bounds
        self._open: Counter[tuple[str, str]] = Counter()
        self._refused = 0

    def require(self, tenant: str, key_id: str | None) -> None:
        """Raise LimitError `too_many_streams`, which names the bound, unless the caller may open another stream."""
        for name, most in self._bounds_of(tenant, key_id).items():
            if self._open[name] >= most:
                self._log(tenant, key_id, name[0])
                raise bound_reached(name[0], most, "too_many_streams")

    @contextmanager
    def another(self, tenant: str, key_id: str | None) -> Iterator[None]:
        """Count a stream during the block. Raises what `require` raises."""
        self.require(tenant, key_id)
        names = self._bounds_of(tenant, key_id)
        self._open.update(names.keys())
        try:
            yield
        finally:
            self._open.subtract(names.keys())
            for name in names:
                if not self._open[name]:
                    del self._open[name]

    def _bounds_of(self, tenant: str, key_id: str | None) -> dict[tuple[str, str], int]:
        bounds = {
            ("event_streams", ""): self._bounds.of_process,
            ("event_streams_of_tenant", tenant): self._bounds.of_tenant,
        }
        if key_id is not None:
            bounds["event_streams_of_key", key_id] = self._bounds.of_key
        return bounds

    def _log(self, tenant: str, key_id: str | None, bound: str) -> None:
        if self._refused % LOG_EVERY == 0:
            log.warning("event_stream_refused", tenant=tenant, key_id=key_id, bound=bound)
        self._refused += 1
