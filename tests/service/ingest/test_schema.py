"""The OpenAPI document is complete: every route, with every problem that it answers."""

from typing import Any

import pytest

from tests.support.ingest.serving import Ingest

JOB = "/v1/jobs/{job_id}"
LETTERS = "/v1/dead-letters"

# What the routes that change something, and those beside them, answer.
ANSWERS = [
    ("get", JOB, "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    ("delete", JOB, "204", {"404": {"not_found"}}),
    ("post", f"{JOB}/cancel", "200", {"404": {"not_found"}, "409": {"job_ended"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/events", "204", {"404": {"not_found"}, "410": {"job_erased"}}),
    ("get", f"{JOB}/webhook-attempts", "200", {"404": {"not_found"}, "410": {"job_erased"}}),
    (
        "post",
        f"{JOB}/webhook",
        "202",
        {"404": {"not_found"}, "409": {"not_ended", "no_webhook"}, "410": {"job_erased"}},
    ),
    ("get", f"{JOB}/audio", "200", {"410": {"job_erased", "audio_erased"}, "416": {"range_not_satisfiable"}}),
    ("get", f"{JOB}/transcript", "200", {"410": {"job_erased"}}),
    ("get", LETTERS, "200", {"400": {"invalid_parameter"}}),
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


async def test_every_route_has_a_summary(ingest: Ingest) -> None:
    operations = [each for path in (await document(ingest))["paths"].values() for each in path.values()]
    assert len(operations) >= 16
    assert all(operation["summary"] and operation["description"] for operation in operations)


async def test_each_format_of_a_transcript_has_an_example(ingest: Ingest) -> None:
    found = (await document(ingest))["paths"][f"{JOB}/transcript"]["get"]
    examples = {name for content in found["responses"]["200"]["content"].values() for name in content["examples"]}
    assert examples == {"json", "txt", "srt", "vtt", "rttm"}
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
