"""Options of speakers, and the body of `POST /v1/jobs/{job_id}/diarize`, in the OpenAPI document.

The route reads the body itself.
"""

from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody

from ingest_service.openapi.edits import NAME_PATTERN
from shared.schemas.known_speakers import KNOWN_FORM, LABEL, MAX_KNOWN, MAX_NAMES, MAX_SPANS, MAX_TIME_S
from shared.schemas.transcript_edits import MAX_NAME_CHARS

# As JSON schemas: bodies and forms are written by hand.
NAME = {"type": "string", "pattern": NAME_PATTERN, "minLength": 1, "maxLength": MAX_NAME_CHARS}
SPEAKER_NAMES = {
    "type": "object",
    "propertyNames": {"pattern": f"^{LABEL}$"},
    "additionalProperties": NAME,
    "maxProperties": MAX_NAMES,
    "description": "Names by label. Speakers are numbered by their first turn.",
}
_ID = {"type": "string", "format": "uuid"}
_SECONDS = {"type": "number", "minimum": 0, "maximum": MAX_TIME_S}
_SPAN = {"type": "array", "items": _SECONDS, "minItems": 2, "maxItems": 2}
SAMPLE: dict[str, Any] = {
    "name": NAME,
    "job_id": {**_ID, "description": "A job of the tenant whose audio has the voice."},
    "upload_id": {**_ID, "description": "A presigned upload of the tenant that is not a job."},
    "times": {
        "type": "array",
        "items": _SPAN,
        "minItems": 1,
        "maxItems": MAX_SPANS,
        "description": "Spans in which the voice speaks, in seconds; without it, the beginning of the audio.",
    },
}
KNOWN_SPEAKERS = {
    "type": "array",
    "maxItems": MAX_KNOWN,
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {**SAMPLE, "voice": {**_ID, "description": "A voice of `/v1/voices`."}},
        "additionalProperties": False,
    },
    "description": "People who may speak. Each has one of `job_id`, `upload_id` and `voice`.",
}
IN_JSON = {"speaker_names": SPEAKER_NAMES, "known_speakers": KNOWN_SPEAKERS}
# Generators encode an object of a form as JSON; of a list they make several fields.
IN_FORM = {**IN_JSON, "known_speakers": {"type": "string", "description": f"As JSON: {KNOWN_FORM}."}}

_COUNT = {"num_speakers": "The exact number", "min_speakers": "The least number", "max_speakers": "The largest number"}
BODY = "SpeakerOptions"
COMPONENTS = {
    BODY: {
        "type": "object",
        "properties": {
            name: {"type": ["integer", "null"], "minimum": 1, "maximum": 64, "description": f"{text} of speakers."}
            for name, text in _COUNT.items()
        }
        | IN_JSON
        | {"voices": {"type": "boolean", "description": "Also find the voices of `/v1/voices`."}},
        "additionalProperties": False,
        "description": "`num_speakers` excludes the two bounds, and `min_speakers` is not larger than `max_speakers`.",
    }
}
NEW_VOICE = "NewVoice"
COMPONENTS[NEW_VOICE] = {
    "type": "object",
    "required": ["name"],
    "properties": SAMPLE,
    "additionalProperties": False,
    "oneOf": [{"required": ["job_id"]}, {"required": ["upload_id"]}],
    "description": "A name, and a sample of the voice: spans of the audio of a job, or of a presigned upload.",
}


@dataclass
class VoiceBody(Operation):
    """Add the body of `POST /v1/voices`."""

    def __post_init__(self) -> None:
        body = OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{NEW_VOICE}"))
        self.request_body = RequestBody(content={"application/json": body}, required=True)


@dataclass
class SpeakersBody(Operation):
    """Add the optional body."""

    def __post_init__(self) -> None:
        body = OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{BODY}"))
        self.request_body = RequestBody(content={"application/json": body}, required=False)
