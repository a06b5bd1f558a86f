"""Corrections of a transcript in the OpenAPI document."""

from dataclasses import dataclass

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.openapi.document import ONE_JOB, UNAVAILABLE, Specs, problems
from shared.schemas.transcript_edits import (
    MAX_CHANGES,
    MAX_COUNT,
    MAX_NAME_CHARS,
    MAX_SEGMENT_CHARS,
    MAX_SPEAKERS,
    MAX_WORD_CHARS,
    EditVersion,
)

# The characters of `is_text` and `require_name`, without the rare ones of more than 16 bits: not all dialects of regex
# have those.
_NOT_TEXT = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_REORDERING = r"\u202a-\u202e\u2066-\u2069"
_UNSEEN = (
    r"\x20\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u202f\u205f-\u2064"
    r"\u206a-\u206f\u3000\ufeff\ufff9-\ufffb"
)
TEXT_PATTERN = rf"^[^{_NOT_TEXT}]*$(?!\n)"
NAME_PATTERN = rf"^[{_UNSEEN}]*[^{_NOT_TEXT}{_REORDERING}{_UNSEEN}][^{_NOT_TEXT}{_REORDERING}]*$(?!\n)"
_NAME = Schema(type=OpenAPIType.STRING, pattern=NAME_PATTERN, min_length=1, max_length=MAX_NAME_CHARS)
_SEGMENT = Schema(
    type=OpenAPIType.INTEGER,
    minimum=0,
    maximum=MAX_COUNT,
    description="The `id` of a segment of the engine's transcript.",
)
_WORD = Schema(
    type=OpenAPIType.OBJECT,
    title="WordCorrection",
    required=["segment", "word", "text"],
    properties={
        "segment": _SEGMENT,
        "word": Schema(
            type=OpenAPIType.INTEGER, minimum=0, maximum=MAX_COUNT, description="The index in the segment's `words`."
        ),
        "text": Schema(
            type=OpenAPIType.STRING,
            pattern=TEXT_PATTERN,
            max_length=MAX_WORD_CHARS,
            description="The right text. Several words share the word's time; an empty text deletes it.",
        ),
        "was": Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], description="Ignored."),
        "at": Schema(type=[OpenAPIType.INTEGER, OpenAPIType.NULL], description="Ignored."),
    },
    additional_properties=False,
)
_OF_SEGMENT = Schema(
    type=OpenAPIType.OBJECT,
    title="SegmentCorrection",
    required=["segment"],
    properties={
        "segment": _SEGMENT,
        "speaker": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            pattern=NAME_PATTERN,
            min_length=1,
            max_length=MAX_NAME_CHARS,
            description="The label of another speaker, also of a new one.",
        ),
        "text": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            pattern=TEXT_PATTERN,
            max_length=MAX_SEGMENT_CHARS,
            description="The right text of a segment without `words`.",
        ),
        "was": Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], description="Ignored."),
        "start": Schema(type=[OpenAPIType.NUMBER, OpenAPIType.NULL], description="Ignored."),
    },
    additional_properties=False,
    schema_if=Schema(properties={"text": Schema(type=OpenAPIType.NULL)}),  # or it is left out
    then=Schema(required=["speaker"], properties={"speaker": Schema(type=OpenAPIType.STRING)}),
)
# Written by hand: the framework would omit `additionalProperties: false`.
BODY = Schema(
    type=OpenAPIType.OBJECT,
    required=["base_version"],
    properties={
        "base_version": Schema(
            type=OpenAPIType.INTEGER,
            minimum=0,
            maximum=MAX_COUNT,
            description="The newest version that the client knows; 0: none.",
        ),
        "speakers": Schema(
            type=OpenAPIType.OBJECT,
            property_names=_NAME,
            additional_properties=_NAME,
            max_properties=MAX_SPEAKERS,
            description="Names by label.",
        ),
        "words": Schema(type=OpenAPIType.ARRAY, items=_WORD, max_items=MAX_CHANGES),
        "segments": Schema(type=OpenAPIType.ARRAY, items=_OF_SEGMENT, max_items=MAX_CHANGES),
    },
    additional_properties=False,
)
EXAMPLE = Example(
    summary="A name, and two words for one",
    value={
        "base_version": 0,
        "speakers": {"SPEAKER_00": "Ann"},
        "words": [{"segment": 0, "word": 3, "text": "can not"}],
    },
)


@dataclass
class SaveEdits(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        body = OpenAPIMediaType(schema=BODY, examples={"names": EXAMPLE})
        self.request_body = RequestBody(content={"application/json": body}, required=True)


_NO_RESULTS = ("not_ready", "job_failed", "job_cancelled")
SAVE_EDITS: Specs = {
    200: ResponseSpec(EditVersion, generate_examples=False, description="The new version"),
    **UNAVAILABLE,
    **problems("invalid_request", "invalid_parameter", "invalid_json", "invalid_edits"),
    **problems("not_found"),
    **problems("edit_conflict", *_NO_RESULTS),
    **problems("job_erased"),
    **problems("too_large"),
    **problems("unsupported_content_type"),
    **problems("rate_limited", "too_many_renders"),
}
EDITS: Specs = ONE_JOB
EDIT_VERSION: Specs = {
    **UNAVAILABLE,
    **problems("invalid_request", "invalid_parameter"),
    **problems("not_found", "edits_not_found"),
    **problems("job_erased"),
    **problems("rate_limited", "too_many_renders"),
}
