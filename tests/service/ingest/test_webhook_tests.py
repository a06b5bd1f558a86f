"""`/v1/webhooks/test`: have a test event sent to a URL, and read the result."""

import asyncio
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

HOOK = "https://hooks.example/secret-token?key=abc"
ANSWERED = """
    UPDATE webhook_tests SET attempted_at = now(), duration_ms = 12, status = $1, error = $2, answer = $3
"""


async def request(ingest: Ingest, url: Any = HOOK, **more: Any) -> tuple[int, dict[str, Any]]:
    async with ingest.client.post(f"{ingest.url}/v1/webhooks/test", json={"url": url}, **more) as answer:
        return answer.status, await answer.json()


async def read(ingest: Ingest, test_id: object, **more: Any) -> tuple[int, dict[str, Any]]:
    return await ingest.get(f"/v1/webhooks/tests/{test_id}", **more)


async def requested(ingest: Ingest) -> str:
    status, test = await request(ingest)
    assert status == 202
    return str(test["test_id"])


async def test_a_test_waits_until_a_processor_sends_it(ingest: Ingest) -> None:
    status, test = await request(ingest)
    assert (status, test["state"], test["host"]) == (202, "waiting", "hooks.example")
    assert (test["attempted_at"], test["status"], test["answer"], test["error"]) == (None, None, None, None)
    assert await read(ingest, test["test_id"]) == (200, test)
    await ingest.sql("UPDATE webhook_tests SET attempted_at = now()")
    assert (await read(ingest, test["test_id"]))[1]["state"] == "sending"


@pytest.mark.parametrize(
    ("answered", "state"),
    [((204, None, ""), "delivered"), ((500, "The webhook endpoint answered 500.", "Oops"), "failed")],
)
async def test_the_result_has_the_answer(ingest: Ingest, answered: tuple[Any, ...], state: str) -> None:
    test_id = await requested(ingest)
    await ingest.sql(ANSWERED, *answered)
    _, test = await read(ingest, test_id)
    assert (test["state"], test["duration_ms"]) == (state, 12)
    assert (test["status"], test["error"], test["answer"]) == answered


async def test_an_attempt_whose_processor_died_failed(ingest: Ingest) -> None:
    test_id = await requested(ingest)
    await ingest.sql("UPDATE webhook_tests SET attempted_at = now() - interval '3 min'")
    _, test = await read(ingest, test_id)
    assert test["state"] == "failed"
    assert "stopped" in test["error"]


async def test_no_answer_repeats_the_url(ingest: Ingest) -> None:
    test_id = await requested(ingest)
    for _, answer in (await request(ingest), await read(ingest, test_id)):
        assert "secret-token" not in str(answer)
        assert "abc" not in str(answer)


async def test_a_test_expires_after_an_hour(ingest: Ingest) -> None:
    test_id = await requested(ingest)
    await ingest.sql("UPDATE webhook_tests SET created_at = now() - interval '61 min'")
    status, problem = await read(ingest, test_id)
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "ftp://example.com/", "http://", "https://user:pass@example.com/", "http://2130706433/"),
        *("http://example.com:0/", "http://example.com:70000/", "https://exa mple.com/", "http://[::1%25eth0]/"),
        *("https://example.com/\x00", "https://example.com/" + "x" * 2000, "http://" + "a" * 64 + ".example/"),
    ],
)
async def test_a_url_is_refused_as_a_jobs_webhook_url_is(ingest: Ingest, url: str) -> None:
    status, problem = await request(ingest, url)
    assert (status, problem["code"]) == (400, "invalid_option")
    async with ingest.client.post(
        f"{ingest.url}/v1/jobs/remote", json={"audio_url": "https://example.com/a", "webhook_url": url}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == "invalid_option"
    assert "`url`" in problem["detail"]
    assert await ingest.sql("SELECT 1 FROM webhook_tests") == []


@pytest.mark.parametrize("body", [{}, {"url": 7}, {"url": None}, {"url": HOOK, "secret": "x"}, []])
async def test_a_wrong_body_is_refused(ingest: Ingest, body: Any) -> None:
    async with ingest.client.post(f"{ingest.url}/v1/webhooks/test", json=body) as answer:
        assert answer.status == 400
    assert await ingest.sql("SELECT 1 FROM webhook_tests") == []


async def test_a_tenants_tests_are_bounded_also_at_once(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_service.jobs.webhook_tests.MAX_TESTS_AN_HOUR", 5)
    acme, globex = bearer((await new_key(settings, "acme")).key), bearer((await new_key(settings, "globex")).key)
    async with guarded(settings) as ingest:
        answers = await asyncio.gather(*(request(ingest, headers=acme) for _ in range(10)))
        assert sorted(status for status, _ in answers) == [202] * 5 + [429] * 5
        refused = next(problem for status, problem in answers if status == 429)
        assert (refused["code"], "webhook_tests_an_hour" in refused["detail"]) == ("quota_exceeded", True)
        assert (await request(ingest, headers=globex))[0] == 202
        await ingest.sql("UPDATE webhook_tests SET created_at = now() - interval '61 min'")
        assert (await request(ingest, headers=acme))[0] == 202


async def test_other_tenants_tests_are_hidden(settings: IngestSettings) -> None:
    acme, globex = bearer((await new_key(settings, "acme")).key), bearer((await new_key(settings, "globex")).key)
    async with guarded(settings) as ingest:
        _, test = await request(ingest, headers=acme)
        for each in (test["test_id"], new_id(), "x"):
            status, problem = await read(ingest, each, headers=globex)
            assert (status, problem["code"]) == (404, "not_found")
        assert (await read(ingest, test["test_id"], headers=acme))[0] == 200


async def test_a_test_is_no_job(ingest: Ingest) -> None:
    await requested(ingest)
    assert (await ingest.get("/v1/jobs"))[1]["jobs"] == []
    assert await ingest.submit(wav())
