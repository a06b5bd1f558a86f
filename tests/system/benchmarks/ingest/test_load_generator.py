"""The load generator's processes against real servers on real sockets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from tests.tools.benchmarks.ingest.check_accepted import duplicate_ids, sha256_if_equal
from tests.tools.benchmarks.ingest.contenders import BARE, GENERATOR, ServerConfig
from tests.tools.benchmarks.ingest.form_request import BOUNDARY
from tests.tools.benchmarks.ingest.loads import SMALL_BYTES, Load
from tests.tools.benchmarks.ingest.orders import Mode
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.ingest.put_load import put_load
from tests.tools.benchmarks.ingest.serving import serving
from tests.tools.benchmarks.ingest.upload_audio import audio_pieces, audio_sha256

pytestmark = pytest.mark.process


def _load(mode: Mode, clients: int = 12, audio_bytes: int = SMALL_BYTES) -> Load:
    return Load(
        name="test", mode=mode, audio_bytes=audio_bytes, clients=clients, ramp_s=0.1, hold_s=0.1, timeout_s=30.0
    )


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    return ServerConfig(port=free_port(), processes=1, uploads=uploads, scratch=tmp_path, database_url="", redis_url="")


@pytest_asyncio.fixture
async def bare(config: ServerConfig, tmp_path: Path) -> AsyncIterator[int]:
    async with serving(BARE, config, tmp_path / "log") as process:
        yield process.pid


@pytest.mark.parametrize("mode", Mode)
async def test_every_clients_upload_is_answered(mode: Mode, config: ServerConfig, tmp_path: Path) -> None:
    async with serving(GENERATOR, config, tmp_path / "log"):
        outcome = await put_load(_load(mode), config.port, processes=2)

    assert outcome.errors == {}
    assert len({number for number, _ in outcome.accepted}) == len(outcome.latencies_s) == 12


@pytest.mark.parametrize(("mode", "audio_bytes"), [(Mode.AT_ONCE, 3_000_000), (Mode.HELD_OPEN, SMALL_BYTES)])
async def test_the_server_receives_the_audio_of_the_uploads_number(
    mode: Mode, audio_bytes: int, config: ServerConfig, bare: int
) -> None:
    outcome = await put_load(_load(mode, clients=3, audio_bytes=audio_bytes), config.port, processes=1)

    assert bare
    assert len(outcome.accepted) == 3
    for number, job_id in outcome.accepted:
        stored = (config.uploads / job_id).read_bytes()
        assert stored.startswith(f"--{BOUNDARY}".encode())
        assert b"".join(audio_pieces(number, audio_bytes)) in stored


async def test_a_closed_connection_is_an_error_of_its_upload() -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        outcome = await put_load(_load(Mode.AT_ONCE), server.sockets[0].getsockname()[1], processes=1)

    assert outcome.accepted == []
    assert sum(outcome.errors.values()) == 12


async def test_costs_cover_the_whole_process_tree(bare: int) -> None:
    tree = Tree.of(bare)
    tree.reset_peak()

    assert tree.pids == {bare}
    assert 0 < tree.resident_bytes() <= tree.peak_bytes()
    assert tree.cpu_s() > 0


def test_a_stored_file_is_compared_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "source"
    audio = b"".join(audio_pieces(5, SMALL_BYTES))
    path.write_bytes(audio)
    assert sha256_if_equal(path, audio_pieces(5, SMALL_BYTES)) == audio_sha256(5, SMALL_BYTES)
    assert sha256_if_equal(path, audio_pieces(6, SMALL_BYTES)) is None

    for other in (audio + b"x", audio[:-1]):
        path.write_bytes(other)
        assert sha256_if_equal(path, audio_pieces(5, SMALL_BYTES)) is None
    assert sha256_if_equal(tmp_path / "missing", audio_pieces(5, SMALL_BYTES)) is None


def test_a_duplicate_id_is_a_fault() -> None:
    assert duplicate_ids([(1, "a"), (2, "b"), (3, "a")]) == Counter({"id given twice": 1})
