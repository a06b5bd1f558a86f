"""`make limits` writes a tenant's quotas into the database of the running stack."""

import json
from pathlib import Path

import asyncpg
import pytest

from deploy.local.data_dir import DataDir
from deploy.local.operate import set_limits
from deploy.local.settings import Choices
from deploy.local.terminal import LocalStackError

DEFAULTS = dict.fromkeys(("bytes_a_day", "audio_seconds_a_day", "jobs_queued", "uploads_at_once", "queue"), "default")


@pytest.fixture
def data_dir(tmp_path: Path, service_database_url: str) -> Path:
    env = DataDir(tmp_path).stack_env
    env.parent.mkdir()
    env.write_text(f"HEADRACE_DATABASE_URL='{service_database_url}'\n")
    return tmp_path


async def limits(data_dir: Path, capsys: pytest.CaptureFixture[str], **chosen: str) -> dict[str, object]:
    await set_limits(Choices.of({"DATA_DIR": str(data_dir), **chosen}))
    quotas: dict[str, object] = json.loads(capsys.readouterr().out)
    return quotas


async def test_quotas_are_set_one_by_one_and_reset(
    data_dir: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = {"tenant": "default"}
    assert await limits(data_dir, capsys, TENANT="default") == tenant | DEFAULTS
    quotas = await limits(data_dir, capsys, TENANT="default", BYTES_A_DAY="9000000000", JOBS_QUEUED="0")
    assert quotas == tenant | DEFAULTS | {"bytes_a_day": 9_000_000_000, "jobs_queued": 0}
    quotas = await limits(data_dir, capsys, TENANT="default", QUEUE="bulk")
    assert quotas["queue"] == "bulk"
    quotas = await limits(
        data_dir, capsys, TENANT="default", BYTES_A_DAY="default", UPLOADS_AT_ONCE="4", QUEUE="default"
    )
    assert quotas == tenant | DEFAULTS | {"jobs_queued": 0, "uploads_at_once": 4}
    connection = await asyncpg.connect(database_url)
    (row,) = await connection.fetch("SELECT * FROM tenant_quotas")
    await connection.close()
    assert tuple(row) == ("default", None, None, 0, 4, None)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "Name the tenant"),
        ({"TENANT": "unknown"}, "Unknown tenant 'unknown'"),
        ({"TENANT": "*"}, "Unknown tenant"),
        ({"TENANT": "default", "BYTES_A_DAY": "-1"}, "BYTES_A_DAY must be"),
        ({"TENANT": "default", "JOBS_QUEUED": "2147483648"}, "JOBS_QUEUED must be"),
        ({"TENANT": "default", "QUEUE": "Not a name"}, "QUEUE must be the name of a queue"),
        ({"TENANT": "default", "AUDIO_SECONDS_A_DAY": "1.5"}, "AUDIO_SECONDS_A_DAY must be"),
    ],
)
async def test_invalid_options_are_one_clear_line(data_dir: Path, chosen: dict[str, str], message: str) -> None:
    with pytest.raises(LocalStackError, match=message):
        await set_limits(Choices.of({"DATA_DIR": str(data_dir), **chosen}))
