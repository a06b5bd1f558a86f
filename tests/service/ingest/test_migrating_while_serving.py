"""A migration adds columns while the ingest serves: no request fails because of prepared statements."""

import io

from tests.support.contracts.two_versions import A_COLUMN_EACH
from tests.support.ingest.records import complete, failed
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus


async def test_no_request_fails_if_every_table_gets_a_column(ingest: Ingest) -> None:
    before = await a_bit_of_everything(ingest)
    assert {status for _, status in before} <= {200, 201, 202, 204}
    await ingest.sql(A_COLUMN_EACH)
    assert await a_bit_of_everything(ingest) == before


async def a_bit_of_everything(ingest: Ingest) -> list[tuple[str, int]]:
    """Yield each request and its answer."""
    job, done = await ingest.submit(wav()), await ingest.submit(wav())
    await complete(ingest, done)
    dead, dismissed = [await failed(ingest) for _ in range(2)]
    once = {"Content-Type": "audio/wav", "Idempotency-Key": job}
    url = {"audio_url": "https://example.com/a.wav"}
    answers = [
        ("submit once", (await ingest.post(io.BytesIO(wav()), headers=once))[0]),
        ("submit once more", (await ingest.post(io.BytesIO(wav()), headers=once))[0]),
        ("submit url", await _status(ingest, "POST", "/v1/jobs", json=url)),
        ("get", await _status(ingest, "GET", f"/v1/jobs/{job}")),
        ("list", await _status(ingest, "GET", "/v1/jobs?limit=3&status=QUEUED")),
        ("audio", await _status(ingest, "GET", f"/v1/jobs/{job}/audio")),
        ("events", await _status(ingest, "GET", f"/v1/jobs/{done}/events")),
        ("webhook attempts", await _status(ingest, "GET", f"/v1/jobs/{job}/webhook-attempts")),
        ("dead letters", await _status(ingest, "GET", "/v1/dead-letters")),
        ("redrive", await _status(ingest, "POST", f"/v1/dead-letters/{dead}/redrive")),
        ("dismiss", await _status(ingest, "DELETE", f"/v1/dead-letters/{dismissed}")),
        ("cancel", await _status(ingest, "POST", f"/v1/jobs/{job}/cancel")),
        ("erase", await _status(ingest, "DELETE", f"/v1/jobs/{job}")),
        ("usage", await _status(ingest, "GET", "/v1/usage")),
        ("keys", await _status(ingest, "GET", "/v1/keys")),
    ]
    return answers + await _resumable(Tus.to(ingest))


async def _resumable(tus: Tus) -> list[tuple[str, int]]:
    audio = wav()
    path, other = await tus.created(len(audio)), await tus.created(100)
    return [
        ("tus head", (await tus.request("HEAD", path)).status),
        ("tus part", (await tus.request("PATCH", path, audio[:99], Upload_Offset="0")).status),
        ("tus end", (await tus.request("PATCH", path, audio[99:], Upload_Offset="99")).status),
        ("tus terminate", (await tus.request("DELETE", other)).status),
    ]


async def _status(ingest: Ingest, method: str, path: str, **options: object) -> int:
    async with ingest.client.request(method, ingest.url + path, **options) as answer:  # type: ignore[arg-type] # its own
        await answer.read()
        return answer.status
