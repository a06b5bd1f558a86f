"""`/v1/webhooks/endpoints`, and the option `webhooks` of a job: what is stored, shown, refused and sent again."""

import asyncio
import base64
import json
from typing import Any

import pytest

from ingest_service.auth.webhook_secrets import MAX_VALID
from ingest_service.jobs.webhook_endpoints import MAX_ENDPOINTS
from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.schemas.webhook_events import DeliveryInput
from shared.schemas.webhooks import is_webhook_secret
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

PATH = "/v1/webhooks/endpoints"
HOOK = "https://hooks.example/secret-token?key=abc"
OWN = f"whsec_{base64.b64encode(b'o' * 32).decode()}"
ALL = ["job.completed", "job.failed", "job.cancelled"]


async def ask(ingest: Ingest, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    async with ingest.client.request(method, ingest.url + path, json=body, **more) as answer:
        return answer.status, (await answer.json() if await answer.read() else None)


async def created(ingest: Ingest, url: str = HOOK, **fields: Any) -> dict[str, Any]:
    status, endpoint = await ask(ingest, "POST", PATH, {"url": url, **fields})
    assert status == 201, endpoint
    return dict(endpoint)


async def inputs_of(ingest: Ingest, job_id: str) -> list[DeliveryInput]:
    return [DeliveryInput(**json.loads(one["input"])) for one in await records.tasks_of(ingest, job_id, "deliver")]


async def test_an_endpoint_is_created_listed_changed_and_deleted(ingest: Ingest) -> None:
    made = await created(ingest, events=["job.failed", "job.failed"], description="Größe")
    assert is_webhook_secret(made.pop("secret"))
    assert (made["host"], made["events"], made["contents"]) == ("hooks.example", ["job.failed"], "thin")
    assert (made["state"], made["enabled"], made["description"]) == ("enabled", True, "Größe")
    path = f"{PATH}/{made['endpoint_id']}"
    assert await ask(ingest, "GET", path) == (200, made)
    assert await ask(ingest, "GET", PATH) == (200, {"endpoints": [made]})
    changes = {"enabled": False, "events": ALL, "contents": "transcript", "url": "https://other.example/"}
    status, changed = await ask(ingest, "PATCH", path, changes)
    assert (status, changed["state"], changed["host"]) == (200, "disabled", "other.example")
    assert (changed["events"], changed["contents"], changed["description"]) == (ALL, "transcript", "Größe")
    (row,) = await ingest.sql("SELECT url, tenant FROM webhook_endpoints")
    assert (row["url"], row["tenant"]) == ("https://other.example/", "default")
    assert (await ask(ingest, "DELETE", path))[0] == 204
    assert (await ask(ingest, "GET", path))[0] == 404
    assert await ingest.sql("SELECT 1 FROM webhook_endpoint_secrets") == []


@pytest.mark.parametrize("resuming", [{"enabled": True}, {"url": HOOK}])
async def test_a_pause_is_shown_with_its_reason_and_ends_by_a_change(ingest: Ingest, resuming: Any) -> None:
    path = f"{PATH}/{(await created(ingest))['endpoint_id']}"
    await ingest.sql(
        "UPDATE webhook_endpoints SET failing_since = now(), paused_at = now(), paused_reason = 'It broke.'"
    )
    _, paused = await ask(ingest, "PATCH", path, {"description": "x"})
    assert (paused["state"], paused["paused_reason"], paused["enabled"]) == ("paused", "It broke.", True)
    assert paused["paused_at"] is not None
    _, resumed = await ask(ingest, "PATCH", path, resuming)
    assert [resumed[name] for name in ("state", "failing_since", "paused_at", "paused_reason")] == [
        "enabled", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "`url` is missing"),
        ({"url": "ftp://a.example/"}, "`url` must be an http or https URL"),
        ({"url": "http://2130706433/"}, "`url` must name a host"),
        ({"url": HOOK, "events": []}, "`events` must be"),
        ({"url": HOOK, "events": ["job.started"]}, "`events` must be"),
        ({"url": HOOK, "contents": "all"}, "`contents` must be"),
        ({"url": HOOK, "description": "a\u0000b"}, "`description` must be text of at most 200 characters"),
        ({"url": HOOK, "description": "x" * 201}, "`description` must be text of at most 200 characters"),
        ({"url": HOOK, "secret": OWN}, "`secret` is not a field"),
    ],
)
async def test_a_wrong_endpoint_is_refused_in_a_sentence(ingest: Ingest, body: Any, said: str) -> None:
    status, problem = await ask(ingest, "POST", PATH, body)
    assert (status, said in problem["detail"]) == (400, True), problem
    assert await ingest.sql("SELECT 1 FROM webhook_endpoints") == []


async def test_the_number_of_endpoints_is_bounded_also_at_once(ingest: Ingest) -> None:
    answers = await asyncio.gather(*(ask(ingest, "POST", PATH, {"url": HOOK}) for _ in range(MAX_ENDPOINTS + 3)))
    assert sorted(status for status, _ in answers) == [201] * MAX_ENDPOINTS + [429] * 3
    assert (await ask(ingest, "POST", PATH, {"url": HOOK}))[1]["code"] == "quota_exceeded"


async def test_a_rotation_keeps_the_previous_secret_for_a_while(ingest: Ingest) -> None:
    endpoint = await created(ingest)
    path = f"{PATH}/{endpoint['endpoint_id']}/secret/rotate"
    status, made = await ask(ingest, "POST", path, {"previous_valid_s": 60})
    assert (status, is_webhook_secret(made["secret"]), made["previous_valid_until"] is not None) == (201, True, True)
    rows = await ingest.sql("SELECT secret, expires_at FROM webhook_endpoint_secrets ORDER BY expires_at")
    assert [row["secret"] for row in rows] == [endpoint["secret"], made["secret"]]
    assert [row["expires_at"] is None for row in rows] == [False, True]
    for _ in range(MAX_VALID - 2):
        await ask(ingest, "POST", path, {})
    assert (await ask(ingest, "POST", path, {}))[1]["code"] == "too_many_secrets"
    _, last = await ask(ingest, "POST", path, {"previous_valid_s": 0})
    rows = await ingest.sql("SELECT secret FROM webhook_endpoint_secrets")
    assert [row["secret"] for row in rows] == [last["secret"]]


async def test_a_test_of_an_endpoint_names_it_and_counts_towards_the_bound(ingest: Ingest) -> None:
    endpoint = await created(ingest)
    status, test = await ask(ingest, "POST", f"{PATH}/{endpoint['endpoint_id']}/test")
    assert (status, test["state"], test["host"]) == (202, "waiting", "hooks.example")
    (row,) = await ingest.sql("SELECT url, endpoint_id::text FROM webhook_tests")
    assert (row["url"], row["endpoint_id"]) == ("", endpoint["endpoint_id"])
    assert (await ask(ingest, "POST", f"{PATH}/{new_id()}/test"))[0] == 404
    assert (await ask(ingest, "POST", f"{PATH}/x/test"))[0] == 404


async def test_endpoints_of_a_tenant_are_its_own(settings: IngestSettings) -> None:
    acme, globex = bearer((await new_key(settings, "acme")).key), bearer((await new_key(settings, "globex")).key)
    async with guarded(settings) as ingest:
        _, endpoint = await ask(ingest, "POST", PATH, {"url": HOOK}, headers=acme)
        path = f"{PATH}/{endpoint['endpoint_id']}"
        assert await ask(ingest, "GET", PATH, headers=globex) == (200, {"endpoints": []})
        changes = [("GET", path), ("DELETE", path), ("POST", path + "/test")]
        assert [(await ask(ingest, *one, headers=globex))[0] for one in changes] == [404] * 3
        assert (await ask(ingest, "PATCH", path, {"enabled": False}, headers=globex))[0] == 404
        assert (await ask(ingest, "POST", path + "/secret/rotate", {}, headers=globex))[0] == 404
        assert (await ask(ingest, "GET", path, headers=acme))[1]["state"] == "enabled"


async def test_a_cancelled_job_is_delivered_to_each_target(ingest: Ingest) -> None:
    endpoint = await created(ingest)
    await created(ingest, events=["job.completed"])
    webhooks = [{"url": HOOK, "events": ["job.cancelled"]}, {"url": HOOK, "events": ["job.failed"]}, {"url": HOOK}]
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK, webhooks=json.dumps(webhooks))
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel"))[0] == 200
    inputs = await inputs_of(ingest, job_id)
    assert {one.target for one in inputs} == {"", "w0", "w2", endpoint["endpoint_id"].replace("-", "")}
    assert len({one.event for one in inputs}) == 1
    plain = await ingest.submit(wav())
    await ask(ingest, "DELETE", f"{PATH}/{endpoint['endpoint_id']}")
    await ingest.post(None, path=f"/v1/jobs/{plain}/cancel")
    assert await inputs_of(ingest, plain) == []


async def test_an_event_is_sent_again_to_each_of_its_targets(ingest: Ingest) -> None:
    endpoint = await created(ingest)
    job_id = await ingest.submit(wav(), webhooks=json.dumps([{"url": HOOK}]))
    await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel")
    await ingest.sql("UPDATE tasks SET state = 'done' WHERE kind = 'deliver'")
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/webhook"))[0] == 202
    inputs = await inputs_of(ingest, job_id)
    targets = ["w0", endpoint["endpoint_id"].replace("-", "")]
    assert sorted(one.target for one in inputs) == sorted(targets * 2)
    await ingest.sql("UPDATE tasks SET state = 'dead' WHERE kind = 'deliver' AND ordinal = 3")
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 202
    assert len(await inputs_of(ingest, job_id)) == 5


async def test_attempts_show_the_endpoint_and_the_host(ingest: Ingest) -> None:
    endpoint = await created(ingest)
    webhooks = json.dumps([{"url": "https://first.example/x?token=hush"}])
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK, webhooks=webhooks)
    await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel")
    for task in await records.tasks_of(ingest, job_id, "deliver"):
        wanted = DeliveryInput(**json.loads(task["input"]))
        await ingest.sql(
            "INSERT INTO webhook_attempts (event_id, task_id, tenant, target) VALUES ($1, $2, 'default', $3)",
            wanted.event, task["id"], wanted.target or None,
        )  # fmt: skip
    expected = {
        ("client.example", None),
        ("first.example", None),
        ("hooks.example", endpoint["endpoint_id"]),
    }
    for path in (
        f"/v1/jobs/{job_id}/webhook-attempts",
        "/v1/webhooks/attempts",
        f"/v1/webhooks/attempts?job_id={job_id}",
    ):
        _, log = await ingest.get(path)
        assert {(one["host"], one["endpoint_id"]) for one in log["attempts"]} == expected
        assert len({one["event_id"] for one in log["attempts"]}) == 3
        assert "hush" not in json.dumps(log)


@pytest.mark.parametrize("as_json", [False, True])
async def test_the_webhooks_of_a_job_are_stored_and_never_shown(ingest: Ingest, *, as_json: bool) -> None:
    webhooks = [{"url": HOOK, "secret": OWN, "contents": "transcript"}, {"url": HOOK, "events": ["job.failed"]}]
    form = {"options": json.dumps({"webhooks": webhooks})} if as_json else {"webhooks": json.dumps(webhooks)}
    job_id = await ingest.submit(wav(), **form)
    row = await records.job_row(ingest, job_id)
    assert json.loads(row["webhooks"]) == webhooks
    assert row["options"] == "{}"
    _, shown = await ingest.get(f"/v1/jobs/{job_id}")
    assert "hooks.example" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("webhooks", "said"),
    [
        ("x", "`webhooks` must be a JSON list"),
        ({}, "`webhooks` must be a JSON list"),
        ([{}], "`url` is missing"),
        ([{"url": "ftp://a.example/"}], "`url` must be an http or https URL"),
        ([{"url": "http://a.example:0/"}], "has a `url` that cannot be called. It must have a port"),
        ([{"url": HOOK, "events": []}], "`events` must be"),
        ([{"url": HOOK, "secret": "whsec_short"}], "`secret`"),
        ([{"url": HOOK, "more": 1}], "`more` is not a field"),
        ([{"url": HOOK}] * 9, "must be a list of at most 8"),
    ],
)
async def test_wrong_webhooks_are_refused_in_a_sentence(ingest: Ingest, webhooks: Any, said: str) -> None:
    text = webhooks if isinstance(webhooks, str) else json.dumps(webhooks)
    status, problem = await ingest.post(wav(), params={"webhooks": text}, headers={"Content-Type": "audio/wav"})
    assert (status, problem["code"], said in problem["detail"]) == (400, "invalid_option", True), problem
