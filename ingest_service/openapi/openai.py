"""OpenAI's audio API in the OpenAPI document: its forms, answers and errors."""

from dataclasses import dataclass
from typing import get_args

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Encoding,
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.openai_api.answers import Transcription, TranscriptionDiarized, TranscriptionVerbose
from ingest_service.openai_api.errors import OpenAIError, error_of
from ingest_service.openai_api.request import AUDIO_FIELD, AnswerFormat, Granularity
from ingest_service.openapi.document import Specs
from ingest_service.openapi.uploads import AUDIO_FILE
from ingest_service.problem_types import PROBLEM_TYPES
from ingest_service.uploads.receive import FORM_TYPE

_TEXT = Schema(type=OpenAPIType.STRING)


def _errors(*codes: str) -> dict[int, ResponseSpec]:
    """Return the answers for some codes of PROBLEM_TYPES: one for each status, with an example for each code."""
    statuses = sorted({PROBLEM_TYPES[code].status for code in codes})
    return {status: _error([code for code in codes if PROBLEM_TYPES[code].status == status]) for status in statuses}


def _error(codes: list[str]) -> ResponseSpec:
    return ResponseSpec(
        OpenAIError,
        generate_examples=False,
        description="; ".join(PROBLEM_TYPES[code].title for code in codes),
        examples=[Example(id=code, summary=PROBLEM_TYPES[code].title, value=_example(code)) for code in codes],
    )


def _example(code: str) -> dict[str, object]:
    kind = PROBLEM_TYPES[code]
    fields = error_of(kind.status, code, kind.detail).error
    return {"error": {"message": fields.message, "type": fields.type, "param": fields.param, "code": fields.code}}


_ACCESS = (
    "invalid_request internal unauthorized forbidden rate_limited host_not_allowed origin_not_allowed "
    "database_unavailable"
).split()
_AUDIO_CODES = (
    "empty_upload missing_audio_file invalid_form invalid_option model_unavailable invalid_digest digest_mismatch "
    "upload_stalled too_large unsupported_content_type unsupported_media unsupported_content_encoding job_cancelled "
    "job_erased quota_exceeded too_many_streams too_many_renders storage_unavailable still_running "
    "storage_full"
).split()
MODELS: Specs = _errors(*_ACCESS)
MODEL: Specs = _errors(*_ACCESS, "model_not_found")
AUDIO: Specs = {
    200: ResponseSpec(
        TranscriptionDiarized | TranscriptionVerbose | Transcription,  # type: ignore[arg-type] # a union is accepted
        generate_examples=False,
        description="The transcript in the requested format. `Headrace-Job-Id` names the job, `Headrace-Ignored` the "
        "fields without effect.",
    ),
    **_errors(*_ACCESS, *_AUDIO_CODES, "model_not_found"),
}


def _fields(*, translation: bool) -> dict[str, Schema]:
    common = {
        AUDIO_FIELD: AUDIO_FILE,
        "model": Schema(type=OpenAPIType.STRING, description="Any name. `/v1/models` lists those with a meaning."),
        "prompt": Schema(type=OpenAPIType.STRING, description="Names and words to expect."),
        "response_format": Schema(type=OpenAPIType.STRING, enum=list(get_args(AnswerFormat)), default="json"),
        "temperature": Schema(type=OpenAPIType.NUMBER, description="Ignored unless it is 0."),
        "timestamp_granularities[]": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING, enum=list(get_args(Granularity))),
            description="What `verbose_json` contains: `segment` by default.",
        ),
        "stream": Schema(type=OpenAPIType.BOOLEAN, default=False, description="Answer with server-sent events."),
    }
    if translation:
        return common
    texts = Schema(type=OpenAPIType.ARRAY, items=_TEXT)
    return common | {
        "language": Schema(type=OpenAPIType.STRING, description="A code such as `en` or `en-US`, or an English name."),
        "languages[]": texts,
        "keywords[]": texts,
        "include[]": texts,
        "chunking_strategy": _TEXT,
        "known_speaker_names[]": texts,
        "known_speaker_references[]": texts,
    }


def _body(*, translation: bool) -> RequestBody:
    schema = Schema(
        type=OpenAPIType.OBJECT,
        required=[AUDIO_FIELD],
        properties=dict(_fields(translation=translation)),
        description="Arrays as repeated fields, with or without brackets. Unknown fields are ignored.",
    )
    text = Encoding(content_type="text/plain")
    arrays = {name: text for name in schema.properties or {} if name.endswith("[]")}
    return RequestBody(content={FORM_TYPE: OpenAPIMediaType(schema=schema, encoding=arrays)}, required=True)


def _add_text_formats(operation: Operation) -> None:
    """Describe the other media types of the answer: the framework describes one only."""
    response = (operation.responses or {}).get("200")
    if isinstance(response, OpenAPIResponse) and response.content is not None:
        response.content |= {
            "text/plain": OpenAPIMediaType(schema=_TEXT),
            "text/vtt": OpenAPIMediaType(schema=_TEXT),
            "text/event-stream": OpenAPIMediaType(schema=_TEXT),
        }


@dataclass
class AudioUpload(Operation):
    """Adds the form of a transcription."""

    def __post_init__(self) -> None:
        self.request_body = _body(translation=False)
        _add_text_formats(self)


@dataclass
class TranslationUpload(Operation):
    """Adds the form of a translation."""

    def __post_init__(self) -> None:
        self.request_body = _body(translation=True)
        _add_text_formats(self)
