"""Where a job's results are written: `results_to`, and `results_formats`. Pure.

Either a folder of a bucket that the service may write, or a presigned URL for each format.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from shared.formats.style import SUFFIXES, FileFormat, TextFormat
from shared.schemas.bucket_urls import SCHEME, is_allowed, parse_folder_url, shown_folders
from shared.schemas.called_urls import shown_host, why_never_called
from shared.secret import Secret

ResultFormat = Literal["json"] | TextFormat | FileFormat
FORMATS: tuple[str, ...] = ("json", *get_args(TextFormat), *get_args(FileFormat))
DEFAULT_FORMATS = ("json",)
MAX_URL_CHARS = 4096
MAX_TEXT_CHARS = 64 << 10  # of the map
TO_FIELD, FORMATS_FIELD = "results_to", "results_formats"
FORM = "must be a folder such as s3://bucket/folder/, or an object that gives a presigned URL for each format"
FORMATS_FORM = f"must be a list, separated by commas, of {', '.join(FORMATS)}"

ResultsFormats = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z]{2,10}(?:,[a-z]{2,10}){0,15}$(?!\n)",
        description=f"a list, separated by commas, of {', '.join(FORMATS)}",
    ),
]
ResultsTo = Annotated[
    Secret,  # a presigned URL authorizes a PUT
    msgspec.Meta(
        extra_json_schema={
            "type": ["string", "object"],
            "additionalProperties": {"type": "string"},
            "description": "A folder such as `s3://bucket/folder/`, in a bucket that the service allows; or an object: "
            "a presigned URL for each format, to which the result is sent by PUT.",
        }
    ),
]


class Target(NamedTuple):
    """One result to write. `shown`: what lists and logs show of the target."""

    format: str
    url: Secret
    shown: str


def file_name(job_id: object, result_format: str) -> str:
    """Return the name of a result in a folder."""
    return f"{job_id}.{SUFFIXES.get(result_format, result_format)}"


def formats_of(text: str | None) -> tuple[str, ...]:
    """Return the names in `results_formats`."""
    return tuple(dict.fromkeys(text.split(","))) if text else ()


def why_no_formats(text: str) -> str | None:
    """Return what is wrong with `results_formats`; None if nothing is."""
    return None if set(formats_of(text)) <= set(FORMATS) else FORMATS_FORM


def why_no_results(to: str, formats: str | None) -> str | None:
    """Return what is wrong with both options together, as a sentence without a full stop; None if nothing is."""
    if problem := why_nowhere(to):
        return f"`{TO_FIELD}` {problem}"
    if formats and (problem := why_no_formats(formats)):
        return f"`{FORMATS_FIELD}` {problem}"
    urls = urls_of(to)
    if urls is not None and formats and set(urls) != set(formats_of(formats)):
        return f"`{FORMATS_FIELD}` must name the formats of `{TO_FIELD}`, or be left out"
    return None


def named_formats(to: str, formats: str | None) -> str:
    """Return the formats that are written, as they are stored with the job."""
    return ",".join(urls_of(to) or formats_of(formats) or DEFAULT_FORMATS)


def canonical(value: Any) -> str | None:
    """Return the text of `results_to` that is stored, of a client's string or object; None for another value."""
    if isinstance(value, str):
        return value.strip() if len(value) <= MAX_TEXT_CHARS else None
    if not isinstance(value, dict) or not value or not all(isinstance(each, str) for each in value.values()):
        return None
    return msgspec.json.encode(value, order="sorted").decode()


def urls_of(text: str) -> Mapping[str, str] | None:
    """Return the presigned URLs by format; None for a folder."""
    return None if text.startswith(SCHEME) else msgspec.json.decode(text, type=dict[str, str])


def why_nowhere(text: str) -> str | None:
    """Return what is wrong with the form of `results_to`, to follow its name; None if nothing is. Shows no URL."""
    try:
        urls = urls_of(text)
    except msgspec.MsgspecError:
        return FORM
    if urls is None:
        return None if parse_folder_url(text) else f"{FORM}: no empty part, no `.` or `..` as a part, no backslashes"
    for name, url in urls.items():
        if name not in FORMATS:
            return f"has an unknown format: formats are {', '.join(FORMATS)}"
        if len(url) > MAX_URL_CHARS:
            return f"has a URL for `{name}` of more than {MAX_URL_CHARS} characters"
        if problem := why_never_called(url):
            return f"has a URL for `{name}` that cannot be called: it {problem}"
    return None if urls else FORM


def why_not_allowed(text: str, folders: Collection[str], tenant: str) -> str | None:
    """Return why a tenant may not write to a valid `results_to`; None if it may."""
    folder = parse_folder_url(text) if text.startswith(SCHEME) else None
    if folder is None or is_allowed(folder, folders, tenant):
        return None
    if not folders:
        return "must be an object of presigned URLs: this server writes to no bucket"
    return f"must be in {shown_folders(folders, tenant)}"


def targets_of(text: str, formats: Collection[str], job_id: object) -> list[Target]:
    """Return what is written for a job."""
    if (urls := urls_of(text)) is not None:
        return [Target(name, Secret(url), shown_host(url) or "") for name, url in urls.items()]
    folder = text if text.endswith("/") else f"{text}/"
    bucket = parse_folder_url(folder)
    shown = bucket.root if bucket else ""
    return [Target(name, Secret(folder + file_name(job_id, name)), shown) for name in formats or DEFAULT_FORMATS]
