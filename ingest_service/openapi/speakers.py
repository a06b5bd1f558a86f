"""The body of `POST /v1/jobs/{job_id}/diarize` in the OpenAPI document. The route reads it itself."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

_COUNT = {"num_speakers": "The exact number", "min_speakers": "The least number", "max_speakers": "The largest number"}
_BODY = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        name: Schema(
            type=[OpenAPIType.INTEGER, OpenAPIType.NULL], minimum=1, maximum=64, description=f"{text} of speakers."
        )
        for name, text in _COUNT.items()
    },
    additional_properties=False,
    description="`num_speakers` excludes the two bounds, and `min_speakers` is not larger than `max_speakers`.",
)


@dataclass
class SpeakersBody(Operation):
    """Add the optional body."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=_BODY)}, required=False)
