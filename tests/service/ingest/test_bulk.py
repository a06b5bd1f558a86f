"""`POST /v1/jobs/bulk`: cancel, erase and redrive what a filter matches, as single requests do."""

from typing import Any

import pytest

from ingest_service.auth.caller import Scope
from ingest_service.jobs import bulk
from ingest_service.settings import IngestSettings
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

PATH = "/v1/jobs/bulk"


async def change(ingest: Ingest, action: str, wanted: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    status, result = await ingest.post(None, PATH, json={"action": action, "filter": wanted or {}, **more})
    assert status == 200, result
    return result


async def statuses(ingest: Ingest, *job_ids: str) -> list[str | int]:
    """The status of each job, or of the refusal."""
    return [(await ingest.get(f"/v1/jobs/{job_id}"))[1]["status"] for job_id in job_ids]


async def test_cancels_what_has_not_ended_and_sends_webhooks(ingest: Ingest) -> None:
    queued, running = await ingest.submit(wav(), webhook_url=records.HOOK), await ingest.submit(wav())
    done = await ingest.submit(wav())
    await records.start(ingest, running)
    await records.complete(ingest, done)
    result = await change(ingest, "cancel")
    assert result == {"matched": 2, "changed": 2, "refused": [], "more": False, "next_cursor": None}
    assert await statuses(ingest, queued, running, done) == ["CANCELLED", "CANCELLED", "COMPLETED"]
    (delivery,) = await records.tasks_of(ingest, queued, "deliver")
    assert delivery["state"] == "dispatched"
    assert (await change(ingest, "cancel"))["matched"] == 0


async def test_a_named_job_that_cannot_be_changed_is_refused_with_its_code(ingest: Ingest) -> None:
    queued, done = await ingest.submit(wav()), await ingest.submit(wav())
    await records.complete(ingest, done)
    result = await change(ingest, "cancel", {"job_ids": [queued, done], "max_speakers": None}, limit=9.0)
    assert (result["matched"], result["changed"]) == (2, 1)
    assert result["refused"] == [{"job_id": done, "code": "job_ended"}]


async def test_erases_the_audio_too(ingest: Ingest) -> None:
    jobs = [await ingest.submit(wav()) for _ in range(3)]
    result = await change(ingest, "erase", {"job_ids": jobs[:2]})
    assert result["changed"] == 2
    assert await statuses(ingest, *jobs) == [410, 410, "QUEUED"]
    assert ingest.stored_jobs() == {jobs[2]}


async def test_redrives_failed_jobs_within_the_quota(settings: IngestSettings) -> None:
    async with serving(settings, quota_jobs_queued=2) as ingest:
        failed = [await records.failed(ingest) for _ in range(3)]
        result = await change(ingest, "redrive", {"code": "timeout"})
        assert (result["matched"], result["changed"]) == (3, 2)
        assert result["refused"] == [{"job_id": failed[0], "code": "quota_exceeded"}]
        assert await statuses(ingest, *failed) == ["FAILED", "QUEUED", "QUEUED"]


async def test_goes_on_with_the_cursor_after_its_limit(ingest: Ingest) -> None:
    jobs = [await ingest.submit(wav()) for _ in range(5)]
    changed, cursor = [], None
    while True:
        result = await change(ingest, "cancel", {"status": ["QUEUED"]}, limit=2, cursor=cursor)
        changed.append(result["changed"])
        assert result["more"] is (result["next_cursor"] is not None)
        if not (cursor := result["next_cursor"]):
            break
    assert changed == [2, 2, 1]
    assert set(await statuses(ingest, *jobs)) == {"CANCELLED"}


async def test_ends_after_its_time_with_a_cursor(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [await ingest.submit(wav()) for _ in range(3)]
    monkeypatch.setattr(bulk, "WORK_S", 0.0)
    result = await change(ingest, "cancel")
    assert (result["matched"], result["changed"], result["more"]) == (1, 1, True)
    assert await statuses(ingest, *jobs) == ["QUEUED", "QUEUED", "CANCELLED"]


async def test_needs_the_scope_of_the_action_and_changes_own_jobs_only(settings: IngestSettings) -> None:
    acme = {
        name: bearer((await new_key(settings, "acme", Scope.READ, *more, purpose=name)).key)
        for name, more in {"reads": (), "submits": (Scope.SUBMIT,), "administers": (Scope.ADMIN,)}.items()
    }
    globex = bearer((await new_key(settings, "globex", *Scope)).key)
    async with guarded(settings) as ingest:
        _, job = await ingest.post(wav(), headers=WAV_TYPE | acme["submits"])
        for action, allowed in {"cancel": "submits", "erase": "submits", "redrive": "administers"}.items():
            for name, headers in acme.items():
                body = {"action": action, "filter": {"filename": "nothing"}}
                status, _ = await ingest.post(None, PATH, json=body, headers=headers)
                assert status == (200 if name == allowed else 403), (action, name)
        body = {"action": "erase", "filter": {"job_ids": [job["job_id"]]}}
        status, result = await ingest.post(None, PATH, json=body, headers=globex)
        assert (status, result["matched"]) == (200, 0)
        assert (await ingest.get(f"/v1/jobs/{job['job_id']}", headers=acme["reads"]))[0] == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "stop", "filter": {}}, "`action` must be"),
        ({"action": "cancel"}, "`filter` is missing"),
        ({"action": "cancel", "filter": {"state": "QUEUED"}}, "`filter.state` is not a field"),
        ({"action": "cancel", "filter": {"job_ids": ["x"]}}, "`filter.job_ids` must be a UUID"),
        ({"action": "cancel", "filter": {"metadata_value": "x"}}, "`metadata_value` needs `metadata_key`"),
        ({"action": "cancel", "filter": {}, "limit": 1001}, "`limit` must be"),
        ({"action": "cancel", "filter": {}, "limit": "5"}, "`limit` must be a whole number"),
        ({"action": "cancel", "filter": {"created_before": 0}}, "`filter.created_before` must be a time with its zone"),
    ],
)
async def test_wrong_bodies_are_refused(ingest: Ingest, body: dict[str, Any], said: str) -> None:
    status, problem = await ingest.post(None, PATH, json=body)
    assert (status, problem["code"]) == (400, "invalid_parameter"), problem
    assert said in problem["detail"]
