"""Submissions in JSON: `audio_url`, which the processor fetches, or the `upload_id` of a presigned upload."""

import re
from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.uploads.job_row import fingerprint
from ingest_service.uploads.json_body import JSON_TYPE, read_object
from ingest_service.uploads.parse_options import OptionCollector, RequireServed, anything, invalid_option
from ingest_service.uploads.presigned_uploads import UPLOAD_FIELD, DirectJob, parse_upload_id
from ingest_service.uploads.receive import UploadHead, add_query_options
from shared.schemas.bucket_urls import FORM as BUCKET_FORM
from shared.schemas.bucket_urls import SCHEME as BUCKET_SCHEME
from shared.schemas.bucket_urls import is_allowed, parse_bucket_url, shown_folders
from shared.schemas.called_urls import BLANKS, FORM, why_never_called
from shared.schemas.options import SubmitOptions
from shared.schemas.source_headers import FIELD as HEADERS_FIELD
from shared.schemas.source_headers import encode_headers, names_of, why_no_headers
from shared.sealed import Seal
from shared.secret import repr_hiding

URL_FIELD = "audio_url"
MAX_URL_CHARS = 4096  # a presigned URL has 1000 to 2000
BLANK = re.compile(rf"[{BLANKS}\\]")  # URL parsers read these differently


class UrlJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission by URL with valid options."""

    job_id: UUID
    audio_url: str
    options: SubmitOptions  # with the names of the headers
    sealed_headers: str | None = None

    def __repr__(self) -> str:
        return repr_hiding(self, "audio_url", "sealed_headers")  # the URL's query may hold a signature

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"{URL_FIELD} {self.audio_url}", self.options)


class UrlRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which URLs are accepted. `tenant` None: any object, because a repeat is compared with its first request."""

    schemes: Collection[str]
    buckets: Collection[str] = ()  # and folders of them
    seal: Seal | None = None  # for headers
    tenant: str | None = None

    def of(self, tenant: str) -> "UrlRules":
        """Return the rules for a tenant."""
        return msgspec.structs.replace(self, tenant=tenant)


def checked_url(value: Any, rules: UrlRules) -> str:
    """Check the URL's form; the processor checks its address. RefusedError `invalid_option`."""
    schemes = rules.schemes
    if not isinstance(value, str):
        raise invalid_option(URL_FIELD, f"is missing: it {FORM}" if value is None else FORM)
    if len(value) > MAX_URL_CHARS:
        raise invalid_option(URL_FIELD, f"may have at most {MAX_URL_CHARS} characters")
    if value.startswith(BUCKET_SCHEME) and rules.buckets:
        return _checked_object(value, rules)
    if problem := why_never_called(value):
        raise invalid_option(URL_FIELD, problem)
    if BLANK.search(value):
        raise invalid_option(URL_FIELD, "must not contain blanks and backslashes: write `%20` and `%5C`")
    if value.partition(":")[0].lower() not in schemes:
        raise invalid_option(URL_FIELD, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return value


def _checked_object(value: str, rules: UrlRules) -> str:
    found = parse_bucket_url(value)
    if found is None:
        raise invalid_option(URL_FIELD, BUCKET_FORM)
    if rules.tenant is not None and not is_allowed(found, rules.buckets, rules.tenant):
        raise invalid_option(URL_FIELD, f"must be in {shown_folders(rules.buckets, rules.tenant)}")
    return value


def _checked_headers(value: Any, url: str, rules: UrlRules) -> dict[str, str]:
    """Check the headers of a URL. RefusedError `invalid_option`, which shows no value."""
    if value is None:
        return {}
    if problem := why_no_headers(value):
        raise invalid_option(HEADERS_FIELD, problem)
    if value and url.startswith(BUCKET_SCHEME):
        raise invalid_option(HEADERS_FIELD, "are for http and https URLs: a bucket is read without headers")
    if value and rules.seal is None:
        raise invalid_option(HEADERS_FIELD, "are not accepted: this server has no HEADRACE_ENCRYPTION_KEYS")
    return dict(value)


def is_json(head: UploadHead) -> bool:
    """Whether the body is JSON, on a route that accepts JSON."""
    return head.content_type == JSON_TYPE and not head.only_form


async def read_json_job(
    job_id: UUID,
    head: UploadHead,
    receive: Receive,
    rules: UrlRules,
    require_served: RequireServed = anything,
) -> UrlJob | DirectJob:
    """Read the submission in a JSON body. Raises RefusedError or ClientGoneError."""
    options = OptionCollector()
    add_query_options(head, options)
    values = await read_object(head.content_length, receive)
    if UPLOAD_FIELD in values:
        upload_id = _upload_id(values)
        options.add_values(values)
        return DirectJob(job_id=job_id, upload_id=upload_id, options=_checked(options, require_served))
    url = checked_url(values.pop(URL_FIELD, None), rules)
    headers = _checked_headers(values.pop(HEADERS_FIELD, None), url, rules)
    options.add_values(values)
    checked = _checked(options, require_served)
    if not headers or rules.seal is None:
        return UrlJob(job_id=job_id, audio_url=url, options=checked)
    named = msgspec.structs.replace(checked, audio_headers=names_of(headers))
    sealed = rules.seal.seal(encode_headers(headers), str(job_id))
    return UrlJob(job_id=job_id, audio_url=url, options=named, sealed_headers=sealed)


def _checked(collector: OptionCollector, require_served: RequireServed) -> SubmitOptions:
    options = collector.options()
    require_served(options)
    return options


def _upload_id(values: dict[str, Any]) -> UUID:
    """Remove the id from the values. RefusedError `invalid_option`, or `not_found` for a malformed id."""
    if URL_FIELD in values:
        raise invalid_option(UPLOAD_FIELD, f"and `{URL_FIELD}` cannot both be given")
    text = values.pop(UPLOAD_FIELD)
    if not isinstance(text, str):
        raise invalid_option(UPLOAD_FIELD, "must be the text that `POST /v1/uploads/presigned` answered")
    return parse_upload_id(text)
