"""Submit a watched file as a form, in pieces, with an idempotency key: a repeat, by any watcher, gets the same job."""

import secrets
from collections.abc import AsyncIterator, Mapping

import msgspec

from deploy.command.api import Api, checked_id, decode
from deploy.command.sources import printable
from deploy.command.watcher.journal import digest
from deploy.command.watcher.places import Entry, Place
from shared.schemas.api import JobAccepted


def idempotency_key(file_id: str, entry: Entry, options: Mapping[str, str], generation: int) -> str:
    """Return the key of one version of a file: equal for all watchers with the same options."""
    chosen = msgspec.json.encode(options, order="sorted").decode()
    return f"headrace-watch-{digest(file_id, entry.version, chosen, str(generation))}"


async def send_form(api: Api, source: Place, entry: Entry, options: Mapping[str, str], key: str) -> str:
    """Send the file once. Return the job's id. Raise SourceError, PlaceError, ApiError or UnreachableError."""
    boundary = secrets.token_hex(16)
    fields = {"metadata": msgspec.json.encode({"path": printable(entry.path)}).decode(), **options}
    before, after = _around(boundary, fields, entry), f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield before
        async for piece in source.read(entry):
            yield piece
        yield after

    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(before) + entry.bytes + len(after)),
        "Idempotency-Key": key,
    }
    answer = await api.send_once("POST", "/v1/jobs", headers=headers, content=body())
    return checked_id(answer, decode(answer, JobAccepted).job_id)


def _around(boundary: str, fields: Mapping[str, str], entry: Entry) -> bytes:
    """Return the form up to the audio."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    name = printable(entry.name).replace("\\", "_").replace('"', "_")
    head = f'Content-Disposition: form-data; name="audio_file"; filename="{name}"'
    parts.append(f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n")
    return "".join(parts).encode()
