"""Reads a submission in JSON: options beside the one field that says where the audio is."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.errors import RefusedError
from ingest_service.uploads.body import read_body
from ingest_service.uploads.from_url import URL_FIELD, UrlJob, checked_url
from ingest_service.uploads.options import OptionTexts, refused
from ingest_service.uploads.presigned import UPLOAD_FIELD, DirectJob
from ingest_service.uploads.receive import UploadHead, query_options
from ingest_service.uploads.upload_ids import parse_upload_id
from shared.ids import new_id

JSON_TYPE = "application/json"
MAX_JSON_BYTES = 256 << 10


def is_json(head: UploadHead) -> bool:
    """Whether the body is JSON, where it may be."""
    return head.content_type == JSON_TYPE and not head.only_form


async def read_json_job(head: UploadHead, receive: Receive, schemes: Collection[str]) -> UrlJob | DirectJob:
    """The submission in a JSON body. Raises RefusedError or ClientGoneError."""
    if (head.content_length or 0) > MAX_JSON_BYTES:
        raise _too_large()
    texts = OptionTexts()
    query_options(head, texts)
    values = _object(await _whole(receive))
    if UPLOAD_FIELD in values:
        upload_id = _upload_id(values)
        texts.add_values(values)
        return DirectJob(job_id=new_id(), upload_id=upload_id, options=texts.options())
    url = checked_url(values.pop(URL_FIELD, None), schemes)
    texts.add_values(values)
    return UrlJob(job_id=new_id(), audio_url=url, options=texts.options())


def _upload_id(values: dict[str, Any]) -> UUID:
    """Taken out of the values. RefusedError `invalid_option`, or `not_found` for what is no id."""
    if URL_FIELD in values:
        raise refused(UPLOAD_FIELD, f"and `{URL_FIELD}` cannot both be given")
    text = values.pop(UPLOAD_FIELD)
    if not isinstance(text, str):
        raise refused(UPLOAD_FIELD, "is not a string")
    return parse_upload_id(text)


async def _whole(receive: Receive) -> bytes:
    data = bytearray()
    async for piece in read_body(receive):
        data += piece
        if len(data) > MAX_JSON_BYTES:
            raise _too_large()
    return bytes(data)


def _too_large() -> RefusedError:
    return RefusedError("too_large", f"A JSON body may have at most {MAX_JSON_BYTES} bytes.")


def _object(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("invalid_json", f"The body is not a JSON object: {error}.") from error
