"""Opens a bucket and writes blobs to it: in one request when the blob fits into a part, else one part after the other.

Obstore aborts an upload whose stream raises, but not one whose caller is cancelled. Here both are aborted, so that the
bucket does not keep and charge for invisible parts. The bucket's lifecycle rule removes what a killed process leaves,
see deploy/s3-lifecycle.json.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, MemoryStore, ObjectStore, S3Store

from shared.blobs.blob_errors import describe
from shared.telemetry.logs import Log

CONNECT_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
UNLIMITED_RETRIES = 1000  # of retries: the time limits them
BUCKETS: dict[str, type[S3Store | GCSStore | AzureStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
SCHEMES = ", ".join(f"{scheme}://" for scheme in ("file", *BUCKETS))


def open_bucket(url: str, *, timeout_s: float, retry_s: float) -> ObjectStore:
    """Open `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `memory:`. Sends no request.

    Obstore reads credentials and the region from `AWS_*`, `GOOGLE_*` and `AZURE_*`. Raises BaseError, ValueError.
    `timeout_s`: the longest that one request may take. `retry_s`: how long after its start a request that failed by the
    network or with a 5xx is retried. An unavailable server must fail a request before our client gives up.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme not in BUCKETS or not parts.netloc:
        raise ValueError(f"the URL must start with one of {SCHEMES} and name a bucket")
    # Not `client_options`: they would override AWS_ALLOW_HTTP, AWS_PROXY_URL and others.
    config: Any = {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)),
    }
    return BUCKETS[parts.scheme](
        parts.netloc,
        prefix=unquote(parts.path).strip("/") or None,
        config=config,
        retry_config={
            "max_retries": UNLIMITED_RETRIES,
            "retry_timeout": timedelta(seconds=retry_s),
            "backoff": {
                "init_backoff": timedelta(seconds=FIRST_PAUSE_S),
                "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
                "base": 2,
            },
        },
    )


if TYPE_CHECKING:  # obstore has no such names at run time
    from obstore import AsyncWritableFile, Attributes

log = Log(__name__)

T = TypeVar("T")

PART_BYTES = 8 << 20  # S3 requires parts of at least 5 MiB, and at most 10,000
# A browser that is redirected to the bucket saves the blob and never renders it.
SAVED: "Attributes" = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
SETTLE_WITHIN_S = 5.0
ABORT_WITHIN_S = 10.0


async def put_into_bucket(store: ObjectStore, key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
    """Store bytes, a file or a stream, with at most three parts in memory. Raises obstore's and the stream's errors."""
    async with contextlib.aclosing(_parts(data)) as parts:
        part = await anext(parts, b"")
        if len(part) < PART_BYTES:
            await obstore.put_async(store, key, part, attributes=SAVED, use_multipart=False)
            return
        writer = obstore.open_writer_async(store, key, attributes=SAVED, buffer_size=PART_BYTES, max_concurrency=1)
        try:
            await _settled(writer.write(part))  # starts the upload; only a started upload can be aborted
            async for part in parts:
                await writer.write(part)
        except BaseException as error:
            await _abort(writer, key, error)
            raise
        await _settled(writer.close())  # aborts the upload if it fails


async def _parts(data: bytes | Path | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield pieces of PART_BYTES, of a stream a little more; only the last is shorter."""
    if isinstance(data, bytes):
        for start in range(0, len(data), PART_BYTES):
            yield data[start : start + PART_BYTES]
    elif isinstance(data, Path):
        with data.open("rb") as file:
            while part := await asyncio.to_thread(file.read, PART_BYTES):
                yield part
    else:
        pieces, gathered = [], 0
        async for piece in data:
            pieces.append(piece)
            gathered += len(piece)
            if gathered >= PART_BYTES:
                part, pieces, gathered = b"".join(pieces), [], 0
                yield part
        if pieces:
            yield b"".join(pieces)


async def _settled(step: Awaitable[T]) -> T:
    """Await a step that must not be interrupted: a cancellation waits for its end."""
    under_way = asyncio.ensure_future(step)
    under_way.add_done_callback(_seen)
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way], timeout=SETTLE_WITHIN_S)
        raise


async def _abort(writer: "AsyncWritableFile", key: str, error: BaseException) -> None:
    """Delete the parts. An error of this step is only logged: the caller gets the error that ended the upload."""
    aborting = asyncio.ensure_future(writer.__aexit__(type(error), error, None))
    aborting.add_done_callback(_seen)
    done, _ = await asyncio.wait([aborting], timeout=ABORT_WITHIN_S)
    failure = aborting.exception() if done else TimeoutError(f"not within {ABORT_WITHIN_S:g} s")
    if isinstance(failure, (BaseError, OSError)):
        log.warning("upload_not_aborted", key=key, error=describe(failure))


def _seen(step: "asyncio.Future[T]") -> None:
    """Retrieve the exception: asyncio reports one that is never retrieved."""
    if not step.cancelled():
        step.exception()
