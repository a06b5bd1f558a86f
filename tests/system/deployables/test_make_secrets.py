"""The generated secrets: consistent, private, and never overwritten."""

from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from deploy.local.ports import LOOPBACK
from deploy.make_secrets import files_of, main, write
from tests.support.deployables.fixtures import Containers


def test_all_secrets_differ() -> None:
    numbers = iter(range(1000))
    content = "".join(files_of(lambda: f"password-{next(numbers)}-").values())
    count = next(numbers)
    assert count == 8  # PostgreSQL: superuser, migrate, two services; Valkey and S3: two each
    assert content.count("password-") > count


def test_other_users_cannot_read_the_secrets_but_containers_can(tmp_path: Path) -> None:
    write(tmp_path / "secrets", files_of())
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        "migrate.env",
        "ingest.env",
        "processor.env",
        "watch.env",
    }
    assert set(modes.values()) == {0o600, 0o644}


def test_existing_secrets_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "secrets"
    assert main([str(folder)]) == 0
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert main([str(folder)]) == 1
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert capsys.readouterr().err == f"{folder}: File exists\n"


async def test_an_anonymous_client_may_only_ping(valkey_port: int) -> None:
    async with Redis(host=LOOPBACK, port=valkey_port) as redis:
        assert await redis.ping()
        with pytest.raises(NoPermissionError):
            await redis.get("arq:queue")
    async with Redis(host=LOOPBACK, port=valkey_port, username="ingest", password="guessed") as redis:  # noqa: S106
        with pytest.raises(AuthenticationError):
            await redis.ping()


@pytest.mark.parametrize("service", ["ingest", "processor"])
async def test_a_service_may_use_its_own_keys_and_no_admin_commands(containers: Containers, service: str) -> None:
    async with Redis.from_url(containers.settings(service)["HEADRACE_REDIS_URL"]) as redis:
        await redis.zadd("arq:queue:other", {"x": 1})
        await redis.delete("arq:queue:other")
        for forbidden in (
            redis.get("another-key"),
            redis.flushall(),
            redis.config_get("*"),
            redis.keys("*"),
            redis.execute_command("ACL", "LIST"),
        ):
            with pytest.raises(NoPermissionError):
                await forbidden


async def test_the_queue_is_persistent_and_never_evicted(containers: Containers) -> None:
    async with Redis.from_url(containers.settings("processor")["HEADRACE_REDIS_URL"]) as redis:
        persistence, memory = await redis.info("persistence"), await redis.info("memory")
    assert persistence["aof_enabled"] == 1
    assert memory["maxmemory_policy"] == "noeviction"
    assert memory["maxmemory"] == 256 << 20
