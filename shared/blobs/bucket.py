"""Puts a blob into a bucket: in one request when it fits into a part, else part by part, one under way at a time.

Obstore aborts an upload whose stream raises, but not one whose caller is cancelled. Here either is aborted, so that the
bucket does not keep, and charge for, parts that nobody sees. What a killed process leaves is the bucket's lifecycle
rule's to remove, see deploy/s3-lifecycle.json.
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

# Opens a bucket: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. Asks its server nothing yet.
#
# Who we are and where it is comes from the provider's own variables, which obstore reads: `AWS_*`, `GOOGLE_*`,
# `AZURE_*`. How long we are patient is ours: a server that is away must fail a request before its client has given
# up.

CONNECT_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
ANY_NUMBER = 1000  # of retries: the time ends them
BUCKETS: dict[str, type[S3Store | GCSStore | AzureStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
SCHEMES = ", ".join(f"{scheme}://" for scheme in ("file", *BUCKETS))


def open_bucket(url: str, *, timeout_s: float, retry_s: float) -> ObjectStore:
    """The bucket of a URL; `memory:` is one that ends with the process. Raises obstore's BaseError and ValueError.

    `timeout_s`: the longest that one request may take. `retry_s`: a request that fails by the network or a 5xx is not
    begun again later than this after it was first.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme not in BUCKETS or not parts.netloc:
        raise ValueError(f"the URL is none of {SCHEMES}, or names no bucket")
    # As `config`, not as `client_options`: those would undo AWS_ALLOW_HTTP, AWS_PROXY_URL and their like.
    config: Any = {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)),
    }
    return BUCKETS[parts.scheme](
        parts.netloc,
        prefix=unquote(parts.path).strip("/") or None,
        config=config,
        retry_config={
            "max_retries": ANY_NUMBER,
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

PART_BYTES = 8 << 20  # S3 wants parts of 5 MiB or more, and 10,000 at most
# A browser that is sent to the bucket saves a blob, whatever its bytes look like.
SAVED: "Attributes" = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
SETTLE_WITHIN_S = 5.0
ABORT_WITHIN_S = 10.0


async def put_into_bucket(store: ObjectStore, key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
    """Store bytes, a file or a stream, holding three parts of it at most. Raises obstore's errors and the stream's."""
    async with contextlib.aclosing(_parts(data)) as parts:
        part = await anext(parts, b"")
        if len(part) < PART_BYTES:
            await obstore.put_async(store, key, part, attributes=SAVED, use_multipart=False)
            return
        writer = obstore.open_writer_async(store, key, attributes=SAVED, buffer_size=PART_BYTES, max_concurrency=1)
        try:
            await _settled(writer.write(part))  # begins the upload; it must be known before it can be aborted
            async for part in parts:
                await writer.write(part)
        except BaseException as error:
            await _abort(writer, key, error)
            raise
        await _settled(writer.close())  # aborts by itself when it fails


async def _parts(data: bytes | Path | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The data in pieces of PART_BYTES or, of a stream, a little more; only the last is shorter."""
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
    """Await a step that must not be left half done: when cancelled, the cancellation waits for its end."""
    under_way = asyncio.ensure_future(step)
    under_way.add_done_callback(_seen)
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way], timeout=SETTLE_WITHIN_S)
        raise


async def _abort(writer: "AsyncWritableFile", key: str, error: BaseException) -> None:
    """Take the parts away. The error that ended the upload is the one to tell, so this one's own is only logged."""
    aborting = asyncio.ensure_future(writer.__aexit__(type(error), error, None))
    aborting.add_done_callback(_seen)
    done, _ = await asyncio.wait([aborting], timeout=ABORT_WITHIN_S)
    failure = aborting.exception() if done else TimeoutError("not within the time given")
    if isinstance(failure, (BaseError, OSError)):
        log.warning("upload_not_aborted", key=key, error=describe(failure))


def _seen(step: "asyncio.Future[T]") -> None:
    """An exception that nobody is left to hear of is no defect."""
    if not step.cancelled():
        step.exception()
