"""The two upload methods of the load: one request, or tus in parts, resumed after a broken connection."""

import asyncio
import base64
import time

import aiohttp
import msgspec

ANSWER_WITHIN_S = 20.0
WAIT_AFTER_BREAK_S = 0.1
FULL = 507  # a retry would not fit soon
VERSION = {"Tus-Resumable": "1.0.0"}
PART_TYPE = {"Content-Type": "application/offset+octet-stream"}
BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the ingest. `status` is None if the outcome is unknown, 202 if a tus upload became a job."""

    status: int | None
    retry_after: str | None = None
    job_id: str | None = None


async def send_whole(http: aiohttp.ClientSession, url: str, data: bytes, options: dict[str, str]) -> Answer:
    """Send one request with the audio as its body."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    headers = {"Content-Type": "audio/wav"}
    try:
        async with http.post(f"{url}/v1/jobs", data=data, params=options, headers=headers, timeout=timeout) as answer:
            body = await answer.json(content_type=None)
            return Answer(status=answer.status, retry_after=_retry_after(answer), job_id=body.get("job_id"))
    except BROKEN:
        return Answer(status=None)


async def send_resumably(http: aiohttp.ClientSession, url: str, data: bytes, options: dict[str, str]) -> Answer:
    """Create an upload, then send the missing bytes until it is a job: in two parts, if no connection breaks."""
    gives_up_at = time.monotonic() + ANSWER_WITHIN_S
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in options.items())
    upload = {"Upload-Length": str(len(data)), "Upload-Metadata": metadata}
    created = await _ask(http, "POST", f"{url}/v1/uploads", upload)
    if created is None:
        return Answer(status=None)
    if created.status != 201:
        return Answer(status=created.status, retry_after=_retry_after(created))
    path = url + created.headers["Location"]
    while time.monotonic() < gives_up_at:
        stands = await _ask(http, "HEAD", path, {})
        if stands is not None and stands.status == 200:
            if "Headrace-Job-Id" in stands.headers:
                return Answer(status=202, job_id=stands.headers["Headrace-Job-Id"])
            offset = int(stands.headers["Upload-Offset"])
            end = len(data) if offset else len(data) // 2
            patched = await _ask(http, "PATCH", path, {"Upload-Offset": str(offset)} | PART_TYPE, data[offset:end])
            if patched is not None and patched.status == 204:
                continue
            if patched is not None and patched.status == FULL:
                return Answer(status=FULL, retry_after=_retry_after(patched))
        await asyncio.sleep(WAIT_AFTER_BREAK_S)
    return Answer(status=None)


async def _ask(
    http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], data: bytes | None = None
) -> aiohttp.ClientResponse | None:
    """Return the answer, without its body. Return None if the connection broke."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with http.request(method, url, data=data, headers=VERSION | headers, timeout=timeout) as answer:
            await answer.read()
            return answer
    except BROKEN:
        return None


def _retry_after(answer: aiohttp.ClientResponse) -> str | None:
    return answer.headers.get("Retry-After")
