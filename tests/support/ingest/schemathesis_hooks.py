"""Hooks of schemathesis: what the routes do beyond the document, which is written for generators of clients."""

from typing import Any

import schemathesis

PATHS = ("/v1/jobs", "/v1/jobs/remote", "/api/upload-audio")
TEXT = {"type": "string"}
EVENT = {"type": "object", "properties": {"id": TEXT, "data": TEXT}, "required": ["id", "data"]}


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Options may be in the query, too. In a form, `metadata` may be any JSON. Events are checked one by one."""
    del raw_schema["paths"]["/v1/events"]  # it does not end
    events = raw_schema["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    events["text/event-stream"]["schema"] = EVENT
    schemas = raw_schema["components"]["schemas"]
    options = {name: schema for name, schema in schemas["SubmitForm"]["properties"].items() if name != "audio_file"}
    schemas["SubmitForm"]["properties"]["metadata"] = {}
    for path in PATHS:
        parameters = raw_schema["paths"][path]["post"]["parameters"]
        for name, schema in options.items():
            if name == "metadata":
                any_json: dict[str, Any] = {"application/json": {"schema": {}}}
                parameters.append({"name": name, "in": "query", "required": False, "content": any_json})
            else:
                parameters.append({"name": name, "in": "query", "required": False, "schema": schema})


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case[Any], **__: Any) -> None:
    """Send what a schema cannot say: the parameter that another one needs, and no word or segment twice."""
    if case.query and "metadata_value" in case.query:
        case.query.setdefault("metadata_key", "key")
    if case.operation.label == "PUT /v1/jobs/{job_id}/transcript/edits" and isinstance(case.body, dict):
        case.body |= {
            name: _without_repeated(entries, fields)
            for name, fields in {"words": ("segment", "word"), "segments": ("segment",)}.items()
            if isinstance(entries := case.body.get(name), list)
        }


def _without_repeated(entries: list[Any], fields: tuple[str, ...]) -> list[Any]:
    """Return the entries whose fields together differ from those of all before them."""
    keys = [[one.get(field) for field in fields] if isinstance(one, dict) else None for one in entries]
    return [one for number, one in enumerate(entries) if keys[number] is None or keys[number] not in keys[:number]]
