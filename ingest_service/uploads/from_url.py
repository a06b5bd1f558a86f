"""Submissions in JSON: `audio_url`, which the processor fetches, or the `upload_id` of a presigned upload."""

import re
from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.client_json import ClientJsonError, decode_json
from ingest_service.errors import RefusedError
from ingest_service.uploads.body import read_body
from ingest_service.uploads.job_row import fingerprint
from ingest_service.uploads.parse_options import OptionCollector, RequireModel, any_model, invalid_option
from ingest_service.uploads.presigned_uploads import UPLOAD_FIELD, DirectJob, parse_upload_id
from ingest_service.uploads.receive import UploadHead, add_query_options
from shared.ids import new_id
from shared.schemas.called_urls import FORM, why_never_called
from shared.schemas.options import SubmitOptions
from shared.secret import repr_hiding

URL_FIELD = "audio_url"
JSON_TYPE = "application/json"
MAX_JSON_BYTES = 128 << 10  # the largest metadata may need three times its bytes for escapes
MAX_URL_CHARS = 4096  # a presigned URL has 1000 to 2000
BLANK = re.compile(r"[\s\\]")  # URL parsers read these differently


class UrlJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission by URL with valid options."""

    job_id: UUID
    audio_url: str
    options: SubmitOptions

    def __repr__(self) -> str:
        return repr_hiding(self, "audio_url")  # its query may hold a signature

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"{URL_FIELD} {self.audio_url}", self.options)


def checked_url(value: Any, schemes: Collection[str]) -> str:
    """Check the URL's form; the processor checks its address. RefusedError `invalid_option`."""
    if not isinstance(value, str):
        raise invalid_option(URL_FIELD, f"is missing: it {FORM}" if value is None else FORM)
    if len(value) > MAX_URL_CHARS:
        raise invalid_option(URL_FIELD, f"may have at most {MAX_URL_CHARS} characters")
    if problem := why_never_called(value):
        raise invalid_option(URL_FIELD, problem)
    if BLANK.search(value):
        raise invalid_option(URL_FIELD, "must not contain blanks and backslashes: write `%20` and `%5C`")
    if value.partition(":")[0].lower() not in schemes:
        raise invalid_option(URL_FIELD, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return value


def is_json(head: UploadHead) -> bool:
    """Whether the body is JSON, on a route that accepts JSON."""
    return head.content_type == JSON_TYPE and not head.only_form


async def read_json_job(
    head: UploadHead, receive: Receive, schemes: Collection[str], require_model: RequireModel = any_model
) -> UrlJob | DirectJob:
    """Read the submission in a JSON body. Raises RefusedError or ClientGoneError."""
    if (head.content_length or 0) > MAX_JSON_BYTES:
        raise _too_large()
    options = OptionCollector()
    add_query_options(head, options)
    values = _object(await _whole(receive))
    if UPLOAD_FIELD in values:
        upload_id = _upload_id(values)
        options.add_values(values)
        return DirectJob(job_id=new_id(), upload_id=upload_id, options=_checked(options, require_model))
    url = checked_url(values.pop(URL_FIELD, None), schemes)
    options.add_values(values)
    return UrlJob(job_id=new_id(), audio_url=url, options=_checked(options, require_model))


def _checked(collector: OptionCollector, require_model: RequireModel) -> SubmitOptions:
    options = collector.options()
    require_model(options.model)
    return options


def _upload_id(values: dict[str, Any]) -> UUID:
    """Remove the id from the values. RefusedError `invalid_option`, or `not_found` for a malformed id."""
    if URL_FIELD in values:
        raise invalid_option(UPLOAD_FIELD, f"and `{URL_FIELD}` cannot both be given")
    text = values.pop(UPLOAD_FIELD)
    if not isinstance(text, str):
        raise invalid_option(UPLOAD_FIELD, "must be the text that `POST /v1/uploads/presigned` answered")
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
        return decode_json(data, dict[str, Any], enclosing=1)
    except ClientJsonError as error:
        raise RefusedError("invalid_json", f"The body must be a JSON object: {error}.") from error
