"""The OpenAPI document is valid and complete: every route, with every problem that it answers."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from litestar.routes import HTTPRoute
from openapi_spec_validator import validate

from ingest_service.console_files import PAGE_PATHS
from ingest_service.openai_api.errors import is_openai_path
from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import guarded
from tests.support.ingest.serving import Ingest, described_app

JOB = "/v1/jobs/{job_id}"
ENDPOINTS = "/v1/webhooks/endpoints"
LETTERS = "/v1/dead-letters"
BOUNDS = {"pattern", "minLength", "maxLength", "minimum", "maximum"}

# What the routes that change something, and those beside them, answer.
ANSWERS = [
    ("get", JOB, "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    ("delete", JOB, "204", {"404": {"not_found"}}),
    ("post", f"{JOB}/cancel", "200", {"404": {"not_found"}, "409": {"job_ended"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/events", "204", {"404": {"not_found"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/work", "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    (
        "get",
        f"{JOB}/peaks",
        "200",
        {"404": {"not_found", "no_peaks"}, "409": {"not_ready", "job_failed", "job_cancelled"}, "410": {"job_erased"}},
    ),
    ("get", f"{JOB}/webhook-attempts", "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    (
        "post",
        f"{JOB}/webhook",
        "202",
        {"404": {"not_found"}, "409": {"not_ended", "no_webhook"}, "410": {"job_erased"}},
    ),
    ("get", f"{JOB}/audio", "200", {"410": {"job_erased", "audio_erased"}, "416": {"range_not_satisfiable"}}),
    ("get", f"{JOB}/transcript", "200", {"410": {"job_erased"}}),
    (
        "put",
        f"{JOB}/transcript/edits",
        "200",
        {
            "400": {"invalid_parameter", "invalid_json", "invalid_edits"},
            "404": {"not_found"},
            "409": {"edit_conflict", "not_ready"},
            "410": {"job_erased"},
            "413": {"too_large"},
            "429": {"too_many_renders"},
        },
    ),
    ("get", f"{JOB}/transcript/edits", "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/transcript/edits/{{version}}", "200", {"404": {"edits_not_found"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/transcript/search", "200", {"400": {"invalid_parameter"}, "410": {"job_erased"}}),
    ("get", "/v1/search", "200", {"400": {"invalid_parameter", "search_too_broad"}}),
    ("get", f"{JOB}/transcript/text", "200", {"410": {"job_erased"}, "429": {"too_many_renders"}}),
    ("get", LETTERS, "200", {"400": {"invalid_parameter"}}),
    ("get", f"{LETTERS}/counts", "200", {"400": {"invalid_parameter"}}),
    ("delete", LETTERS, "200", {"400": {"invalid_parameter"}}),
    ("get", "/v1/webhooks/attempts", "200", {"400": {"invalid_parameter"}}),
    ("get", "/v1/webhooks/tests/{test_id}", "200", {"404": {"not_found"}}),
    ("post", ENDPOINTS, "201", {"400": {"invalid_option", "invalid_parameter"}, "429": {"quota_exceeded"}}),
    ("patch", f"{ENDPOINTS}/{{endpoint_id}}", "200", {"400": {"invalid_option"}, "404": {"not_found"}}),
    ("post", f"{ENDPOINTS}/{{endpoint_id}}/secret/rotate", "201", {"404": {"not_found"}, "409": {"too_many_secrets"}}),
    ("post", f"{ENDPOINTS}/{{endpoint_id}}/test", "202", {"404": {"not_found"}, "429": {"quota_exceeded"}}),
    ("post", "/v1/webhooks/test", "202", {"400": {"invalid_option", "invalid_parameter"}, "429": {"quota_exceeded"}}),
    ("post", f"{LETTERS}/redrive", "200", {"400": {"invalid_parameter"}}),
    (
        "post",
        f"{LETTERS}/{{job_id}}/redrive",
        "202",
        {"404": {"not_found", "no_dead_letter"}, "410": {"job_erased", "audio_erased"}},
    ),
    ("delete", f"{LETTERS}/{{job_id}}", "204", {"404": {"not_found", "no_dead_letter"}}),
]


async def document(ingest: Ingest) -> dict[str, Any]:
    _, found = await ingest.get("/schema/openapi.json")
    return found


@pytest.mark.parametrize(
    ("method", "path", "success", "problems"),
    ANSWERS,
    ids=lambda value: value if isinstance(value, str) else "problems",
)
async def test_a_route_describes_its_problems(
    ingest: Ingest, method: str, path: str, success: str, problems: dict[str, set[str]]
) -> None:
    answers = (await document(ingest))["paths"][path][method]["responses"]
    assert success in answers
    for status, codes in {**problems, "503": {"database_unavailable"}}.items():
        examples = answers[status]["content"]["application/problem+json"]["examples"].values()
        assert codes <= {example["value"]["code"] for example in examples}, status


async def test_the_failure_codes_of_the_filter_are_listed(ingest: Ingest) -> None:
    (code,) = [
        parameter
        for parameter in (await document(ingest))["paths"][LETTERS]["get"]["parameters"]
        if parameter["name"] == "code"
    ]
    assert "poison" in str(code["schema"]) + str((await document(ingest))["components"])


class Described(NamedTuple):
    """An operation of the document."""

    method: str
    path: str
    content: dict[str, Any]


def operations_of(found: dict[str, Any]) -> Iterator[Described]:
    for path, methods in found["paths"].items():
        yield from (Described(method, path, content) for method, content in methods.items())


async def test_the_document_is_valid(ingest: Ingest, settings: IngestSettings) -> None:
    validate(await document(ingest))
    async with guarded(settings) as asking:
        validate(await document(asking))


UNDESCRIBED = ("/schema", "/docs", "/openai/", "/console/")  # and the pages of the console


async def test_every_route_is_described(ingest: Ingest, settings: IngestSettings) -> None:
    """HEAD beside GET, and OPTIONS, need no description."""
    pages = {path.replace(":str", "") for path in PAGE_PATHS}
    routes = [route for route in described_app(settings).routes if isinstance(route, HTTPRoute)]
    wanted = {
        (method.lower(), route.path_format)
        for route in routes
        for method in route.methods - {"OPTIONS", *(("HEAD",) if "GET" in route.methods else ())}
        if not route.path.startswith(UNDESCRIBED) and route.path_format not in pages
    }
    described = {(one.method, one.path) for one in operations_of(await document(ingest))}
    assert wanted - described == set()


async def test_every_operation_has_an_id_a_tag_and_texts(ingest: Ingest) -> None:
    """Generated clients name functions by ids, which begin with a verb, and modules by tags."""
    found = await document(ingest)
    operations = list(operations_of(found))
    tags = {tag["name"]: tag["description"] for tag in found["tags"]}
    assert all(tags.values())
    for one in operations:
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)+", one.content["operationId"]), one.path
        assert one.content["summary"], one.path
        assert one.content["description"], one.path
        assert len(one.content["tags"]) == 1, one.path
        assert one.content["tags"][0] in tags, one.path
    assert len({one.content["operationId"] for one in operations}) == len(operations)
    assert {one.content["tags"][0] for one in operations} == tags.keys()


PROBLEM = "application/problem+json", "#/components/schemas/Problem"
OPENAI_ERROR = "application/json", "#/components/schemas/OpenAIError"


async def test_every_error_is_described_as_a_problem(ingest: Ingest) -> None:
    """Not as the framework's own error, nor without a body. HEAD has none, and readiness reports by its body."""
    for one in operations_of(await document(ingest)):
        errors = {status: answer for status, answer in one.content["responses"].items() if status >= "400"}
        assert {"400", "500"} <= errors.keys(), one.path
        for status, answer in errors.items():
            if one.method == "head":
                assert "content" not in answer, (one.path, status)
            elif (one.path, status) != ("/health/ready", "503"):
                ((media_type, error),) = answer["content"].items()
                expected = OPENAI_ERROR if is_openai_path(one.path) else PROBLEM
                assert (media_type, error["schema"]["$ref"]) == expected, (one.path, status)


async def test_no_body_has_alternatives_that_generators_cannot_type(ingest: Ingest) -> None:
    found = await document(ingest)
    schemas = found["components"]["schemas"]
    for one in operations_of(found):
        contents = one.content.get("requestBody", {}).get("content", {})
        assert all("$ref" in each or each.get("type") for each in _branches(contents)), one.path
        fields = {name for each in _branches(contents) for name in _schema(each, schemas).get("properties", ())}
        in_query = {each["name"] for each in one.content.get("parameters", ()) if each["in"] == "query"}
        assert not fields & in_query, one.path


def _branches(contents: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for content in contents.values():
        yield from content["schema"].get("oneOf", [content["schema"]])


def _schema(branch: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[branch["$ref"].rpartition("/")[2]] if "$ref" in branch else branch
    return found


async def test_each_format_of_a_transcript_has_an_example(ingest: Ingest) -> None:
    paths = (await document(ingest))["paths"]
    assert paths[f"{JOB}/transcript"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["json"]
    found = paths[f"{JOB}/transcript/text"]["get"]
    contents = found["responses"]["200"]["content"]
    assert {(name, content["schema"]["type"]) for name, content in contents.items()} == {
        ("text/plain", "string"),
        ("text/vtt", "string"),
        ("text/tab-separated-values", "string"),
        ("text/markdown", "string"),
        ("text/html", "string"),
    }
    examples = {name for content in contents.values() for name in content["examples"]}
    assert examples == {"txt", "srt", "vtt", "tsv", "lrc", "md", "html", "textgrid", "rttm", "chapters", "ffmetadata"}
    (wanted,) = [parameter for parameter in found["parameters"] if parameter["name"] == "format"]
    assert set(wanted["schema"]["enum"]) == examples
    limits = {one["name"]: str(one["schema"]) for one in found["parameters"] if one["name"].startswith("max_")}
    assert "200" in limits["max_chars"]
    assert "4" in limits["max_lines"]
    assert "60" in limits["max_seconds"]


async def test_events_and_metrics_have_their_media_types(ingest: Ingest) -> None:
    paths = (await document(ingest))["paths"]
    events = paths[f"{JOB}/events"]["get"]
    (example,) = events["responses"]["200"]["content"]["text/event-stream"]["examples"].values()
    assert example["value"].startswith("id: ")
    assert "Last-Event-ID" in {one["name"] for one in events["parameters"] if one["in"] == "header"}
    assert "text/plain" in paths["/metrics"]["get"]["responses"]["200"]["content"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/counts"])
async def test_a_filter_has_the_same_bounds_in_the_query_and_in_a_body(ingest: Ingest, path: str) -> None:
    found = await document(ingest)
    body = found["components"]["schemas"]["JobFilter"]
    query = {one["name"]: one["schema"] for one in found["paths"][path]["get"]["parameters"]}
    bounded = {"filename", "metadata_key", "metadata_value", "min_speakers", "max_speakers", "warning", "code"}
    for name in bounded:
        bounds = {key: value for key, value in body["properties"][name]["anyOf"][0].items() if key in BOUNDS}
        assert bounds
        assert bounds.items() <= query[name].items(), name
    assert body["additionalProperties"] is False


async def test_the_url_of_a_test_event_is_described_as_a_webhook_url(ingest: Ingest) -> None:
    found = await document(ingest)
    operation = found["paths"]["/v1/webhooks/test"]["post"]
    url = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["url"]
    option = found["components"]["schemas"]["SubmitUrl"]["properties"]["webhook_url"]
    assert (url["pattern"], url["maxLength"]) == (option["pattern"], option["maxLength"])
