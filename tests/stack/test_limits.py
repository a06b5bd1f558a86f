"""`make limits` writes what a tenant may use into the record of the running stack."""

import json
from pathlib import Path

import asyncpg
import pytest

from deploy.local.data_dir import DataDir
from deploy.local.operate import set_limits
from deploy.local.settings import Choices
from deploy.local.terminal import LocalStackError

NOTHING = dict.fromkeys(("bytes_a_day", "audio_seconds_a_day", "jobs_queued", "uploads_at_once"), "default")


@pytest.fixture
def data_dir(tmp_path: Path, service_database_url: str) -> Path:
    env = DataDir(tmp_path).stack_env
    env.parent.mkdir()
    env.write_text(f"HEADRACE_DATABASE_URL='{service_database_url}'\n")
    return tmp_path


async def limits(data_dir: Path, capsys: pytest.CaptureFixture[str], **chosen: str) -> dict[str, object]:
    await set_limits(Choices.of({"DATA_DIR": str(data_dir), **chosen}))
    said: dict[str, object] = json.loads(capsys.readouterr().out)
    return said


async def test_quotas_are_set_one_by_one_and_taken_back(
    data_dir: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whose = {"tenant": "default"}
    assert await limits(data_dir, capsys, TENANT="default") == whose | NOTHING
    told = await limits(data_dir, capsys, TENANT="default", BYTES_A_DAY="9000000000", JOBS_QUEUED="0")
    assert told == whose | NOTHING | {"bytes_a_day": 9_000_000_000, "jobs_queued": 0}
    told = await limits(data_dir, capsys, TENANT="default", BYTES_A_DAY="default", UPLOADS_AT_ONCE="4")
    assert told == whose | NOTHING | {"jobs_queued": 0, "uploads_at_once": 4}
    connection = await asyncpg.connect(database_url)
    (row,) = await connection.fetch("SELECT * FROM tenant_quotas")
    await connection.close()
    assert tuple(row) == ("default", None, None, 0, 4)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, "Say whose"),
        ({"TENANT": "nobody"}, "There is no tenant 'nobody'"),
        ({"TENANT": "*"}, "There is no tenant"),
        ({"TENANT": "default", "BYTES_A_DAY": "-1"}, "BYTES_A_DAY must be"),
        ({"TENANT": "default", "JOBS_QUEUED": "2147483648"}, "JOBS_QUEUED must be"),
        ({"TENANT": "default", "AUDIO_SECONDS_A_DAY": "1.5"}, "AUDIO_SECONDS_A_DAY must be"),
    ],
)
async def test_what_cannot_be_is_one_clear_line(data_dir: Path, chosen: dict[str, str], said: str) -> None:
    with pytest.raises(LocalStackError, match=said):
        await set_limits(Choices.of({"DATA_DIR": str(data_dir), **chosen}))
