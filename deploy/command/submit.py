"""Submit a source: a small file at once, a larger one by a resumable upload, a URL by its address. One job results.

What is sent is remembered first, so that a repeat, also by a later run of the command, finds the same job: small files
and URLs by their idempotency key, resumable uploads by their id.
"""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO

import httpx
import msgspec

from deploy.command.api import Api, checked_id, decode, unexpected
from deploy.command.errors import ApiError, CommandError, SourceError
from deploy.command.sources import Source, Stat, printable
from deploy.command.state import State, Work
from shared.schemas.api import JobAccepted
from shared.schemas.options import JobOptions

RESUMABLE_FROM_BYTES = 8 << 20
PART_BYTES = 32 << 20  # of one request; proxies limit its size
PIECE_BYTES = 256 << 10
MOST_IN_HEADER_BYTES = 16 << 10  # of options; base64 adds a third, and the service reads 24 KiB of `Upload-Metadata`
BY_TUS = {"Tus-Resumable": "1.0.0"}
OFFSET = re.compile(r"[0-9]{1,18}")
GONE = frozenset({404, 410})

Sent = Callable[[int], None]  # is given the bytes that were sent


class Submission(msgspec.Struct, frozen=True):
    """What is submitted. `stat` is None for a URL."""

    source: Source
    stat: Stat | None
    options: JobOptions


async def submit(api: Api, state: State, work: Work, submission: Submission, sent: Sent) -> str:
    """Return the id of the job. Raise CommandError."""
    path, stat = submission.source.path, submission.stat
    if path is None or stat is None:
        job_id = await _submit_url(api, work, submission)
    elif stat.bytes < RESUMABLE_FROM_BYTES and not are_long(submission.options):
        sent(0)
        job_id = await _submit_file(api, work, submission, path)
    else:
        job_id = await _Upload(api, state, work, submission.options, _File(path, stat.bytes, sent)).run()
    work.job_id = job_id
    state.save(work)
    return job_id


async def _submit_url(api: Api, work: Work, submission: Submission) -> str:
    body = {"audio_url": submission.source.id, **msgspec.to_builtins(submission.options)}
    answer = await api.send("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": work.idempotency_key})
    return checked_id(answer, decode(answer, JobAccepted).job_id)


async def _submit_file(api: Api, work: Work, submission: Submission, path: Path) -> str:
    audio = await asyncio.to_thread(_read, path)
    answer = await api.send(
        "POST",
        "/v1/jobs",
        data={"options": msgspec.json.encode(submission.options).decode()},
        files={"audio_file": (printable(path.name), audio, "application/octet-stream")},
        headers={"Idempotency-Key": work.idempotency_key},
    )
    return checked_id(answer, decode(answer, JobAccepted).job_id)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"Cannot read the file: {error.strerror or error}.") from error


class _File(msgspec.Struct, frozen=True):
    path: Path
    bytes: int
    sent: Sent


class _Upload:
    """One resumable upload by tus 1.0.0: parts are sent until the service names the job."""

    def __init__(self, api: Api, state: State, work: Work, options: JobOptions, file: _File) -> None:
        self._api = api
        self._state = state
        self._work = work
        self._options = options
        self._file = file

    async def run(self) -> str:
        """Send what is missing. After a break the service is asked how far it got. Return the job's id."""
        failures, failing_since_s = 0, 0.0
        while True:
            try:
                offset, job_id = await self._ask_offset()
                while job_id is None and offset < self._file.bytes:
                    offset, job_id = await self._send_part(offset)
                    failures = 0
                if job_id is not None:
                    return job_id
                raise ApiError(503, "no_job", "The service has all bytes, and no job yet.")
            except CommandError as error:
                if failures == 0:
                    failing_since_s = time.monotonic()
                wait_s = self._wait_s(error, failures, time.monotonic() - failing_since_s)
                if wait_s is None:
                    raise
                self._api.note_outage(error, failures)
                failures += 1
                await asyncio.sleep(wait_s)

    def _wait_s(self, error: CommandError, failures: int, spent_s: float) -> float | None:
        """Return the wait before the offset is asked for again; None: give up."""
        if isinstance(error, ApiError) and error.status in GONE and self._work.upload is not None and failures == 0:
            self._remember(None)  # it expired: begin again
            return 0.0
        if isinstance(error, ApiError) and error.code == "upload_offset_mismatch":
            return self._api.retries.wait_s(ApiError(503, error.code, str(error)), failures, spent_s)
        return self._api.retries.wait_s(error, failures, spent_s)

    async def _ask_offset(self) -> tuple[int, str | None]:
        """Return how much the service has, and the job if it has all."""
        if self._work.upload is None:
            return await self._create(), None
        return self._progress(await self._api.send_once("HEAD", self._address, headers=BY_TUS))

    async def _create(self) -> int:
        in_body = are_long(self._options)
        headers = {
            "Upload-Length": str(self._file.bytes),
            "Upload-Metadata": metadata(self._file.path.name, None if in_body else self._options),
        }
        body = msgspec.to_builtins(self._options) if in_body else None
        answer = await self._api.send("POST", "/v1/uploads", headers=BY_TUS | headers, json=body)
        self._remember(checked_id(answer, answer.headers.get("location", "").rstrip("/").rpartition("/")[2]))
        return 0

    async def _send_part(self, offset: int) -> tuple[int, str | None]:
        size = min(PART_BYTES, self._file.bytes - offset)
        headers = {
            "Upload-Offset": str(offset),
            "Content-Length": str(size),
            "Content-Type": "application/offset+octet-stream",
        }
        pieces = read_part(self._file.path, offset, size, self._file.sent)
        answer = await self._api.send_once("PATCH", self._address, headers=BY_TUS | headers, content=pieces)
        stored, job_id = self._progress(answer)
        if stored <= offset:
            raise unexpected(answer, "it stores nothing of the upload")
        return stored, job_id

    def _progress(self, answer: httpx.Response) -> tuple[int, str | None]:
        text = answer.headers.get("upload-offset", "")
        if not OFFSET.fullmatch(text) or int(text) > self._file.bytes:
            raise unexpected(answer, "no valid Upload-Offset")
        self._file.sent(int(text))
        return int(text), job_of(answer)

    def _remember(self, upload: str | None) -> None:
        self._work.upload = upload
        self._state.save(self._work)

    @property
    def _address(self) -> str:
        return f"/v1/uploads/{self._work.upload}"


async def find_uploaded_job(api: Api, work: Work) -> str | None:
    """Return the job of a resumable upload that was interrupted, if the service had all bytes."""
    if work.upload is None:
        return None
    answer = await api.send_once("HEAD", f"/v1/uploads/{work.upload}", headers=BY_TUS)
    return job_of(answer)


def job_of(answer: httpx.Response) -> str | None:
    """Return the job that an upload has become. Raise ApiError."""
    job_id = answer.headers.get("headrace-job-id")
    return None if job_id is None else checked_id(answer, job_id)


def metadata(file_name: str, options: JobOptions | None) -> str:
    """Return `Upload-Metadata`: the file's name and, if given, the options."""
    values = {"filename": printable(file_name).encode()}
    if options is not None:
        values["options"] = msgspec.json.encode(options)
    return ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in values.items())


def are_long(options: JobOptions) -> bool:
    """Whether options are too long for a header and for the field of a form: they are a body of their own."""
    return len(msgspec.json.encode(options)) > MOST_IN_HEADER_BYTES


async def read_part(path: Path, offset: int, size: int, sent: Sent) -> AsyncIterator[bytes]:
    """Yield the bytes of a part. Raise SourceError if the file has become shorter."""
    file = await asyncio.to_thread(_open_at, path, offset)
    try:
        done = 0
        while done < size:
            piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, size - done))
            if not piece:
                raise SourceError("The file became shorter during the upload.")
            yield piece
            done += len(piece)
            sent(offset + done)
    finally:
        file.close()


def _open_at(path: Path, offset: int) -> IO[bytes]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"Cannot read the file: {error.strerror or error}.") from error
    file.seek(offset)
    return file
