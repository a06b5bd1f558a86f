"""Sends one result: into a bucket with the service's own credentials, or to a presigned URL.

A bucket shows an object only when it is complete, and a repeat writes the same content under the same name. Errors show
of a target only its host or bucket.
"""

import datetime as dt

import aiohttp
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import refusal_of_url
from processor_service.outbound.http_errors import retry_after_s
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.delivery_result import Answer, Blocked, NoAnswer
from processor_service.webhooks.send import send
from shared.blobs.blob_errors import MISSING, describe
from shared.blobs.bucket import open_bucket
from shared.formats.style import MEDIA_TYPES
from shared.schemas.bucket_urls import SCHEME, is_allowed, parse_bucket_url
from shared.schemas.failures import Failure, FailureCode
from shared.secret import Secret
from shared.telemetry.logs import Log

log = Log(__name__)

TIMEOUT_S = 60.0  # of a request to a presigned URL
REFUSALS = (*MISSING, PermissionDeniedError, UnauthenticatedError)
RETRYABLE = frozenset({408, 421, 425, 429})  # and all 5xx
AZURE_HOST, AZURE_TYPE = ".blob.core.windows.net", {"x-ms-blob-type": "BlockBlob"}  # Azure demands it of every PUT


async def put_result(  # noqa: PLR0913, PLR0917 - what one request needs
    http: aiohttp.ClientSession, settings: ProcessorSettings, tenant: str, target: Secret, wanted: str, data: bytes
) -> Failure | None:
    """Send a result. Return why it failed and whether another attempt makes sense; None: it is written.

    `http`: a guarded session of `open_webhook_session`.
    """
    if target.reveal().startswith(SCHEME):
        return await _into_bucket(settings, tenant, target.reveal(), wanted, data)
    return await _to_url(http, settings, target.reveal(), wanted, data)


def media_type(wanted: str) -> str:
    """Return the media type of a format, with the charset of texts."""
    found = "application/json" if wanted == "json" else MEDIA_TYPES[wanted]  # type: ignore[index] # the caller checked
    return f"{found}; charset=utf-8" if found.startswith("text/") else found


async def _into_bucket(
    settings: ProcessorSettings, tenant: str, target: str, wanted: str, data: bytes
) -> Failure | None:
    found = parse_bucket_url(target)
    if found is None or not is_allowed(found, settings.result_buckets, tenant):
        return _blocked("the service may not write to this bucket or folder")
    try:
        store = open_bucket(found.root, timeout_s=settings.storage_timeout_s, retry_s=settings.storage_retry_s)
        attributes = {"Content-Type": media_type(wanted)}
        await obstore.put_async(store, found.key, data, attributes=attributes, use_multipart=False)
    except (BaseError, OSError, ValueError) as error:
        log.warning("result_not_stored", bucket=found.bucket, error=describe(error))
        if isinstance(error, REFUSALS):
            return _refused("The bucket does not exist or does not let the service write.")
        return _refused("The bucket did not take the result.", transient=True)
    return None


async def _to_url(
    http: aiohttp.ClientSession, settings: ProcessorSettings, target: str, wanted: str, data: bytes
) -> Failure | None:
    url = exact_url(target)
    if reason := refusal_of_url(url, schemes=settings.webhook_schemes, ports=settings.webhook_ports):
        return _blocked(reason)
    azure = AZURE_TYPE if (url.raw_host or "").endswith(AZURE_HOST) else {}
    headers = {"content-type": media_type(wanted), "user-agent": "Headrace/1", **azure}
    match await send(http, url, method="PUT", body=data, headers=headers, timeout_s=TIMEOUT_S):
        case Answer() as answer:
            return _failure_of(answer)
        case NoAnswer(reason):
            return _refused(f"The server of the presigned URL {reason}", transient=True)
        case Blocked(reason):
            return _blocked(reason)


def _failure_of(answer: Answer) -> Failure | None:
    """Redirects are not followed: a signature is for one URL."""
    if 200 <= answer.status < 300:
        return None
    is_transient = answer.status in RETRYABLE or answer.status >= 500
    wait_s = retry_after_s(answer.retry_after, now=dt.datetime.now(dt.UTC)) if answer.retry_after else None
    message = f"The server of the presigned URL answered {answer.status}."
    return _refused(message, transient=is_transient, wait_s=wait_s)


def _blocked(reason: str) -> Failure:
    return Failure(code=FailureCode.RESULT_BLOCKED, message=f"The target is refused: {reason}.")


def _refused(message: str, *, transient: bool = False, wait_s: float | None = None) -> Failure:
    return Failure(code=FailureCode.RESULT_REFUSED, message=message, transient=transient, retry_after_s=wait_s)
