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
