"""A tenant's vocabulary: its own, the newest is shown, later jobs get it, and it is deleted as a whole."""

import asyncpg
import pytest

from ingest_service.jobs.vocabulary import MAX_BYTES, MAX_VERSIONS
from ingest_service.settings import IngestSettings
from processor_service.tasks.claim import claim
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.servers import as_owner

PATH = "/v1/vocabulary"
TERMS = {"keyterms": ["Zoë", "head race"], "replacements": {"zoe": "Zoë"}}
COUNT = "SELECT count(*) AS versions FROM vocabularies"


async def ask(
    ingest: Ingest, method: str, key: str | None = None, body: object = None
) -> tuple[int, dict[str, object]]:
    headers = bearer(key) if key else {}
    async with ingest.client.request(method, ingest.url + PATH, json=body, headers=headers) as answer:
        return answer.status, await answer.json() if answer.status != 204 else {}


async def test_each_tenant_has_its_own(settings: IngestSettings) -> None:
    acme, globex = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    async with guarded(settings) as ingest:
        assert await ask(ingest, "GET", acme) == (200, {"keyterms": [], "replacements": {}, "updated_at": None})
        status, put = await ask(ingest, "PUT", acme, TERMS)
        assert (status, put["updated_at"] is not None) == (200, True)
        assert await ask(ingest, "GET", acme) == (200, put)
        assert put | TERMS == put
        assert (await ask(ingest, "GET", globex))[1]["keyterms"] == []
        assert await ask(ingest, "DELETE", globex) == (204, {})
        assert await ask(ingest, "GET", acme) == (200, put)
        assert await ask(ingest, "DELETE", acme) == (204, {})
        assert await ingest.sql("SELECT 1 FROM vocabularies") == []


async def test_a_change_is_a_version_and_the_last_ones_are_kept(ingest: Ingest) -> None:
    for number in range(MAX_VERSIONS + 2):
        assert (await ask(ingest, "PUT", body={"keyterms": [f"term {number}"]}))[0] == 200
    assert (await ask(ingest, "PUT", body={"keyterms": [f"term {MAX_VERSIONS + 1}"]}))[0] == 200
    assert (await ask(ingest, "GET"))[1]["keyterms"] == [f"term {MAX_VERSIONS + 1}"]
    ((versions,),) = await ingest.sql(COUNT)
    assert versions == MAX_VERSIONS


@pytest.mark.parametrize("turned_off", [False, True])
async def test_all_tasks_of_a_job_get_the_version_of_its_submission(
    ingest: Ingest, settings: IngestSettings, *, turned_off: bool
) -> None:
    await ask(ingest, "PUT", body=TERMS)
    options = {"keyterms": "Ann", "replacements": '{"ZOE": "Zoe"}'} | ({"vocabulary": "false"} if turned_off else {})
    headers = {"Content-Type": "audio/wav"}
    assert (await ingest.post(wav(), params=options, headers=headers))[0] == 202
    await ask(ingest, "PUT", body={"keyterms": ["later"]})
    ((task_id, dispatch_no),) = await ingest.sql("SELECT id, dispatch_no FROM tasks")
    async with asyncpg.create_pool(as_owner(settings.database_url.reveal()), min_size=1, max_size=1) as pool:
        task = await claim(pool, task_id, dispatch_no, worker="test", lease_s=15)
    assert task is not None
    got = task.transcription_options
    assert got.keyterms == (("Ann",) if turned_off else ("Ann", "Zoë", "head race"))
    assert got.replacements == {"ZOE": "Zoe"}
    assert task.options.keyterms == ("Ann",)


async def test_bad_bodies_are_refused_with_a_sentence(ingest: Ingest) -> None:
    for body, named in (
        ({"keyterms": "one"}, "keyterms"),
        ({"keyterms": ["a\nb"]}, "keyterms"),
        ({"keyterms": [str(number) for number in range(1001)]}, "keyterms"),
        ({"replacements": {"a": ""}}, "replacements"),
        ({"words": []}, "words"),
        ({"keyterms": [f"{number:03}" + "x" * 97 for number in range(1000)]}, str(MAX_BYTES)),
    ):
        status, problem = await ask(ingest, "PUT", body=body)
        assert (status, problem["code"]) == (400, "invalid_parameter"), body
        assert named in str(problem["detail"])
    assert await ingest.sql("SELECT 1 FROM vocabularies") == []


async def test_it_is_erased_with_its_tenant(settings: IngestSettings, database_url: str) -> None:
    acme = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        await ask(ingest, "PUT", acme, TERMS)
        owner = await asyncpg.connect(database_url)
        try:
            await owner.execute("SET headrace.tenant = '*'")
            await owner.execute("TRUNCATE api_keys, webhook_secrets CASCADE")
            await owner.execute("DELETE FROM tenants WHERE name = 'acme'")
        finally:
            await owner.close()
        assert await ingest.sql("SELECT 1 FROM vocabularies") == []
