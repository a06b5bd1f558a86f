"""A tenant's vocabulary in the OpenAPI document."""

from dataclasses import dataclass

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.jobs.vocabulary import VocabularyView
from ingest_service.openapi.document import ACCESS, Specs, problems
from shared.schemas.key_terms import MAX_TERM_CHARS, MAX_TERMS, WORDS_PATTERN

_WORDS = Schema(type=OpenAPIType.STRING, pattern=WORDS_PATTERN, max_length=MAX_TERM_CHARS)
# Written by hand: the framework would omit `additionalProperties: false`.
BODY = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "keyterms": Schema(
            type=OpenAPIType.ARRAY,
            items=_WORDS,
            max_items=MAX_TERMS,
            description="Names, phrases and spellings to expect.",
        ),
        "replacements": Schema(
            type=OpenAPIType.OBJECT,
            property_names=_WORDS,
            additional_properties=_WORDS,
            max_properties=MAX_TERMS,
            description="What to write for words that are found.",
        ),
    },
    additional_properties=False,
)
EXAMPLE = Example(
    summary="Names, and a spelling",
    value={"keyterms": ["Siobhan Kowalczyk", "PostgreSQL"], "replacements": {"head race": "Headrace"}},
)


@dataclass
class PutVocabulary(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        body = OpenAPIMediaType(schema=BODY, examples={"names": EXAMPLE})
        self.request_body = RequestBody(content={"application/json": body}, required=True)


PUT: Specs = {
    200: ResponseSpec(VocabularyView, generate_examples=False, description="The vocabulary of later jobs"),
    **ACCESS,
    **problems("invalid_parameter", "invalid_request", "invalid_json"),
    **problems("forbidden", "origin_not_allowed", "invalid_csrf_token", "page_not_allowed"),
    **problems("too_large", "unsupported_content_type", "database_unavailable"),
}
SHOW: Specs = ACCESS | problems("database_unavailable")
FORGET: Specs = ACCESS | problems("database_unavailable")
