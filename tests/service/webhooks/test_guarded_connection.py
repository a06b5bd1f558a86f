"""The guard at the connection: a refused address never gets a connection."""

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from processor_service.webhooks.deliver import deliver
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode
from tests.service.webhooks.conftest import AttemptAt, ClaimDelivery, delivered, not_delivered, settings_with
from tests.support.webhooks.endpoint import Endpoint, answering, status

NAME = "hook.example"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - connected to, not bound


class ScriptedNames(AbstractResolver):
    """A name server of an attacker: a new answer to each query; the last one repeats."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0x7f.1", ANY_ADDRESS, "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        *("2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "①②⑦.⓪.⓪.①", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    ],
)
async def test_no_spelling_of_a_loopback_address_is_connected_to(attempt_at: AttemptAt, host: str) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        outcome = await attempt_at(f"http://{host}:{endpoint.port}/", webhook_allow_private="false")

    failure = not_delivered(outcome).failure
    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_BLOCKED, False)
    assert endpoint.hits == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "①②⑦.⓪.⓪.①"])
async def test_the_same_spellings_connect_when_loopback_is_allowed(attempt_at: AttemptAt, host: str) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        delivered(await attempt_at(f"http://{host}:{endpoint.port}/", webhook_allow_private="loopback"))

    assert endpoint.hits == 1


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "168.63.129.16", ANY_ADDRESS, "[::ffff:a9fe:a9fe]"]
)
async def test_metadata_addresses_are_always_blocked(attempt_at: AttemptAt, host: str) -> None:
    failure = not_delivered(await attempt_at(f"http://{host}/", webhook_allow_private="true")).failure

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_BLOCKED, False)


async def test_a_name_that_is_rebound_is_checked_when_connecting(attempt_at: AttemptAt) -> None:
    names = ScriptedNames(["93.184.216.34"], ["127.0.0.1"])
    async with Endpoint(answering(status(200))).listening() as endpoint:
        assert (await names.resolve(NAME))[0]["host"] == "93.184.216.34"  # the first lookup is harmless
        url = f"http://{NAME}:{endpoint.port}/"
        failure = not_delivered(await attempt_at(url, resolver=names, webhook_allow_private="false")).failure

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_BLOCKED, False)
    assert failure.message == "The webhook's URL is refused: its host is at a loopback address."
    assert endpoint.hits == 0


async def test_a_resolver_that_returns_a_name_is_refused(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        url = f"http://{NAME}:{endpoint.port}/"
        failure = not_delivered(await attempt_at(url, resolver=ScriptedNames(["localhost"]))).failure

    assert (failure.code, endpoint.hits) == (FailureCode.WEBHOOK_BLOCKED, 0)


@pytest.mark.parametrize("addresses", [["127.0.0.1", "::1"], ["10.0.0.1", "127.0.0.1", "fe80::1", ANY_ADDRESS]])
async def test_a_name_is_blocked_when_all_its_addresses_are_refused(
    attempt_at: AttemptAt, addresses: list[str]
) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        url = f"http://{NAME}:{endpoint.port}/"
        outcome = await attempt_at(url, resolver=ScriptedNames(addresses), webhook_allow_private="false")

    assert (not_delivered(outcome).failure.code, endpoint.hits) == (FailureCode.WEBHOOK_BLOCKED, 0)


@pytest.mark.parametrize("addresses", [["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["fe80::1", "127.0.0.1"]])
async def test_the_allowed_one_of_several_addresses_is_used(attempt_at: AttemptAt, addresses: list[str]) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        delivered(await attempt_at(f"http://{NAME}:{endpoint.port}/", resolver=ScriptedNames(addresses)))


@pytest.mark.parametrize("addresses", [["10.0.0.1", "127.0.0.2"], ["127.0.0.2", "10.0.0.1"], ["fe80::1", "127.0.0.2"]])
async def test_an_allowed_address_that_is_down_is_not_blocked(attempt_at: AttemptAt, addresses: list[str]) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        url = f"http://{NAME}:{endpoint.port}/"  # the endpoint listens on 127.0.0.1 only
        failure = not_delivered(await attempt_at(url, resolver=ScriptedNames(addresses))).failure

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_REFUSED, True)


@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("http://user:pass@", {}),
        ("http://", {"webhook_schemes": ("https",)}),
        ("http://", {"webhook_ports": (443,)}),
        ("ftp://", {}),
        ("", {}),
        ("http://[", {}),
    ],
)
async def test_a_refused_url_gets_no_request(attempt_at: AttemptAt, prefix: str, values: dict[str, object]) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        failure = not_delivered(await attempt_at(f"{prefix}127.0.0.1:{endpoint.port}/", **values)).failure

    assert (failure.code, failure.transient, endpoint.hits) == (FailureCode.WEBHOOK_BLOCKED, False, 0)


async def test_proxies_of_the_environment_are_ignored(attempt_at: AttemptAt, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Endpoint(answering(status(200))).listening() as proxy,
        Endpoint(answering(status(200))).listening() as it,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        delivered(await attempt_at(it.url))

    assert (it.hits, proxy.hits) == (1, 0)


async def test_a_session_without_a_guard_is_rejected(claim_delivery: ClaimDelivery, blobs: BlobStore) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint, aiohttp.ClientSession() as unguarded:
        task = await claim_delivery(endpoint.url)
        with pytest.raises(TypeError):
            await deliver(task, None, unguarded, settings_with(), blobs)

    assert endpoint.hits == 0
