"""`make dead-letters` and `make redrive` on a running stack."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.local.data_dir import DataDir
from deploy.local.operate import print_dead_letters, redrive
from deploy.local.settings import Choices
from deploy.local.terminal import LocalStackError
from shared.ids import new_id
from shared.schemas.failures import DEAD_LETTER_LIST, FailureCode
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav


def choices(data_dir: Path, **chosen: str) -> Choices:
    return Choices.of({"DATA_DIR": str(data_dir), **chosen})


@pytest.fixture
def data_dir(ingest: Ingest, tmp_path: Path) -> Path:
    """The data folder of a stack whose ingest is this test's."""
    root = tmp_path / "data"
    data = DataDir(root)
    data.open()
    host, port = ingest.address
    settings = {
        "HEADRACE_HOST": host,
        "HEADRACE_PORT": str(port),
        "HEADRACE_REDIS_URL": ingest.settings.redis_url.reveal(),
    }
    data.write_stack_env(settings)
    return root


async def test_one_job(ingest: Ingest, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = await records.failed(ingest)
    await redrive(choices(data_dir, JOB=job_id))
    assert capsys.readouterr().out == f"redriven: job {job_id} is QUEUED\n"
    assert (await records.job_row(ingest, job_id))["generation"] == 2


@pytest.mark.parametrize(("chosen", "count"), [({"JOB": "all"}, 3), ({"CODE": "poison"}, 2)])
async def test_many(
    ingest: Ingest, data_dir: Path, capsys: pytest.CaptureFixture[str], chosen: dict[str, str], count: int
) -> None:
    for code in (FailureCode.POISON, FailureCode.TIMEOUT, FailureCode.POISON):
        await records.failed(ingest, code)
    await redrive(choices(data_dir, **chosen))
    assert capsys.readouterr().out == f"redriven: {count} dead letters\n"
    (row,) = await ingest.sql("SELECT count(*) FROM jobs WHERE status = 'QUEUED'")
    assert row["count"] == count


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"JOB": str(new_id())}, "no job with this id"),
        ({"JOB": "../jobs"}, "no such path"),
        ({"CODE": "nonsense"}, "code"),
        ({"CODE": "x&y=z"}, "code"),
        ({}, "JOB=<id>"),
        ({"JOB": str(new_id()), "CODE": "poison"}, "not both"),
    ],
)
@pytest.mark.usefixtures("ingest")
async def test_a_refused_redrive_is_one_line(data_dir: Path, chosen: dict[str, str], said: str) -> None:
    with pytest.raises(LocalStackError, match=said) as raised:
        await redrive(choices(data_dir, **chosen))
    assert "\n" not in str(raised.value)


async def test_a_job_without_a_dead_letter_is_one_line(ingest: Ingest, data_dir: Path) -> None:
    job_id = await ingest.submit(wav())
    with pytest.raises(LocalStackError, match="no dead letter"):
        await redrive(choices(data_dir, JOB=job_id))


async def test_a_missing_stack_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="No stack runs"):
        await redrive(choices(tmp_path, JOB="all"))
    data = DataDir(tmp_path)
    data.open()
    data.write_stack_env({"HEADRACE_HOST": "127.0.0.1", "HEADRACE_PORT": "1"})
    with pytest.raises(LocalStackError, match="does not answer"):
        await redrive(choices(tmp_path, JOB="all"))


async def test_dead_letters_are_printed_one_a_line_oldest_first(
    ingest: Ingest, data_dir: Path, capsys: pytest.CaptureFixture[Any]
) -> None:
    await print_dead_letters(choices(data_dir))
    assert capsys.readouterr().out == ""
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:
        await redis.rpush(DEAD_LETTER_LIST, '{"job_id":"older"}', '{"job_id":"newer"}')
    await print_dead_letters(choices(data_dir))
    assert capsys.readouterr().out == '{"job_id":"older"}\n{"job_id":"newer"}\n'
