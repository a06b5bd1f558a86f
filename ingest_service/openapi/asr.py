"""The routes of whisper-asr-webservice in the OpenAPI document, written by hand: handlers read query and form."""

from dataclasses import dataclass

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.openapi.document import UNAVAILABLE, Specs, problems
from ingest_service.openapi.uploads import AUDIO_FILE
from ingest_service.uploads.receive import AUDIO_FIELD, FORM_TYPE


class Detection(msgspec.Struct, frozen=True):
    """The language that was detected: its English name, Whisper's code, and the model's probability.

    `confidence` is 0 if the model knows one language only.
    """

    detected_language: str
    language_code: str
    confidence: float


_CODES = (
    "empty_upload missing_audio_file invalid_form invalid_option upload_stalled too_large unsupported_content_type "
    "unsupported_media unsupported_content_encoding storage_full quota_exceeded rate_limited job_failed job_cancelled "
    "job_erased still_running"
).split()
ASR: Specs = {
    200: ResponseSpec(
        str,
        generate_examples=False,
        description="The text, the subtitles or JSON",
        media_type="text/plain",
        examples=[Example(id="txt", value="Ask not what your country can do for you.\n")],
    ),
    **UNAVAILABLE,
    **problems(*_CODES, "too_many_renders"),
}
DETECT_LANGUAGE: Specs = {
    200: ResponseSpec(
        Detection,
        generate_examples=False,
        description="The language",
        examples=[Example(id="en", value=msgspec.to_builtins(Detection("english", "en", 0.98)))],
    ),
    **UNAVAILABLE,
    **problems(*_CODES, "no_speech"),
}

_FORM = RequestBody(
    required=True,
    content={
        FORM_TYPE: OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.OBJECT, required=[AUDIO_FIELD], properties={AUDIO_FIELD: AUDIO_FILE})
        )
    },
)


def _parameter(name: str, description: str, schema: Schema) -> Parameter:
    return Parameter(name=name, param_in="query", description=description, schema=schema)


def _flag(name: str, description: str, *, default: bool = False) -> Parameter:
    return _parameter(name, description, Schema(type=OpenAPIType.BOOLEAN, default=default))


def _count(name: str) -> Parameter:
    schema = Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=64)
    return _parameter(name, "With `diarize`. 0 stands for unknown.", schema)


def _text(name: str, description: str) -> Parameter:
    return _parameter(name, description, Schema(type=OpenAPIType.STRING))


_ENCODE = _flag("encode", "`false`: the file is 16 kHz mono, signed 16 bits, little endian, no header", default=True)
_OUTPUT = Schema(type=OpenAPIType.STRING, enum=["txt", "vtt", "srt", "tsv", "json"], default="txt")
_TASK = Schema(type=OpenAPIType.STRING, enum=["transcribe", "translate"], default="transcribe")


@dataclass
class AsrUpload(Operation):
    """Adds the form and the query of `/asr`."""

    def __post_init__(self) -> None:
        self.request_body = _FORM
        self.parameters = [
            _ENCODE,
            _parameter("task", "`translate`: into English", _TASK),
            _text("language", "A code such as `en`, or an English name. Without it, it is detected"),
            _text("initial_prompt", "Words or names to expect"),
            _flag("vad_filter", "Ignored: only speech is transcribed"),
            _flag("word_timestamps", "Words in JSON"),
            _flag("diarize", "Find the speakers"),
            _count("min_speakers"),
            _count("max_speakers"),
            _parameter("output", "The format", _OUTPUT),
        ]


@dataclass
class DetectionUpload(Operation):
    """Adds the form and the query of `/detect-language`."""

    def __post_init__(self) -> None:
        self.request_body = _FORM
        self.parameters = [_ENCODE]
