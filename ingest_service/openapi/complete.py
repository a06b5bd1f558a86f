"""The OpenAPI document at `/schema`, as JSON: what the framework makes of the routes, completed.

Every route has an `operation_id` that begins with a verb, and one of TAGS. Generated clients name their functions and
modules by them.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from inspect import cleandoc
from typing import Any

import msgspec
from litestar import Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Tag

from ingest_service.auth.caller import OPEN
from ingest_service.jobs.bulk import BulkRequest
from ingest_service.openapi.document import Security
from ingest_service.openapi.uploads import COMPONENTS

TAGS = {
    "jobs": "Submit audio; follow, cancel and erase jobs",
    "openai": "OpenAI's audio API: a request waits for its job",
    "whisper-asr-webservice": "The API of whisper-asr-webservice: off by default, a request waits for its job",
    "results": "Transcripts and audio of finished jobs",
    "uploads": "Uploads in parts: resumable by tus 1.0.0, or to a presigned URL of a bucket",
    "voices": "Voices of people that the tenant keeps, to name speakers",
    "webhooks": "Attempts to deliver a job's webhook, and the secret that signs it",
    "dead-letters": "Tasks that failed permanently",
    "keys": "API keys of a tenant",
    "session": "Sign a browser in with an API key",
    "usage": "What a tenant used, by day",
    "queue": "What waits, runs and failed, and the alerts that fire",
    "monitoring": "Health and metrics",
}


def openapi_config(version: str, *, security: Security | None = None) -> OpenAPIConfig:
    """Return the configuration. `security`: how to send an API key, if keys are needed."""
    return OpenAPIConfig(
        title="Headrace",
        version=version,
        description="Accepts audio at any rate and transcribes it asynchronously. Errors are problem+json.",
        use_handler_docstrings=True,
        components=security.schemes if security else Components(),
        security=list(security.either) if security else None,
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, opt=OPEN),
        tags=[Tag(name=name, description=description) for name, description in TAGS.items()],
        render_plugins=[CompletedDocument()],
    )


class CompletedDocument(JsonRenderPlugin):
    """Serves the completed document as JSON, encoded once."""

    def __init__(self) -> None:
        super().__init__(path=["/", "/openapi.json"])
        self._encoded = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document."""
        if not self._encoded:
            self._encoded = self.render_json(request, completed(openapi_schema))
        return self._encoded


_INTEGER, _NUMBER = {"type": "integer"}, {"type": "number"}


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with everything that the framework cannot know."""
    result: dict[str, Any] = deepcopy(dict(document))
    result["components"]["schemas"] |= COMPONENTS | _bulk_components()
    for method, answer in _answers(result):
        if method == "head":
            answer.pop("content", None)  # it has no body
        for content in answer.get("content", {}).values():
            for example in content.get("examples", {}).values():
                example.pop("id", None)  # the framework's own, which OpenAPI does not allow
    for one_of in _unions(result):
        if _NUMBER in one_of and _INTEGER in one_of:
            one_of.remove(_INTEGER)  # a value must fit one schema only, and an integer is a number
    return result


def _bulk_components() -> dict[str, dict[str, Any]]:
    """Return the body of bulk changes and its filter: the framework omits bounds and `additionalProperties: false`."""
    _, found = msgspec.json.schema_components([BulkRequest], ref_template="#/components/schemas/{name}")
    body, wanted = found["BulkRequest"], found["JobFilter"]
    for schema in (body, wanted):
        schema["description"] = cleandoc(schema["description"])
    wanted |= {
        "if": {"required": ["metadata_value"], "properties": {"metadata_value": {"type": "string"}}},
        "then": {"required": ["metadata_key"], "properties": {"metadata_key": {"type": "string"}}},
    }
    return {"BulkRequest": body, "JobFilter": wanted}


def _answers(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for operations in document["paths"].values():
        for method, operation in operations.items():
            for answer in operation["responses"].values():
                yield method, answer


def _unions(schema: Any) -> Iterator[list[Any]]:
    """Yield the list of each `oneOf` in a part of the document."""
    if isinstance(schema, dict):
        if isinstance(schema.get("oneOf"), list):
            yield schema["oneOf"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _unions(part)
