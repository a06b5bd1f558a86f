"""The common clients tuspy and tus-js-client (Node.js) against a real ingest."""

import asyncio
import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import MIB, wav
from tests.support.ingest.tus_client import Tus, assert_is_job, breaking_after
from tests.support.stack.launched import ROOT

AUDIO = wav(5 * MIB)
INSTALL_TIMEOUT_S = 120
SCRIPT = ROOT / "tests/support/ingest/tus_js"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "talk.wav"
    file.write_bytes(AUDIO)
    return file


async def assert_was_uploaded(ingest: Ingest, url: str) -> Any:
    return await assert_is_job(ingest, await Tus.to(ingest).head(urlsplit(url).path), AUDIO)


def uploader_of(ingest_url: str, stream: BinaryIO, **options: Any) -> Any:
    """Uses our stream: tuspy does not close streams that it opens."""
    return TusClient(ingest_url + "/v1/uploads").uploader(file_stream=stream, **options)


@pytest.mark.parametrize("with_checksum", [False, True])
async def test_tuspy_uploads(ingest: Ingest, with_checksum: bool) -> None:  # noqa: FBT001
    def upload() -> str:
        said = {"filename": "talk.wav", "language": "en"}
        options = {"chunk_size": 2 * MIB, "metadata": said, "upload_checksum": with_checksum}
        uploader = uploader_of(ingest.url, io.BytesIO(AUDIO), **options)
        uploader.upload()
        return str(uploader.url)

    job = await assert_was_uploaded(ingest, await asyncio.to_thread(upload))
    assert (job["filename"], job["options"]) == ("talk.wav", '{"language":"en"}')


async def test_tuspy_resumes(ingest: Ingest) -> None:
    def upload() -> str:
        first = uploader_of(ingest.url, io.BytesIO(AUDIO), chunk_size=MIB)
        first.upload(stop_at=2 * MIB)
        second = uploader_of(ingest.url, io.BytesIO(AUDIO), url=first.url)
        assert second.offset == 2 * MIB
        second.upload()
        return str(second.url)

    await assert_was_uploaded(ingest, await asyncio.to_thread(upload))


async def test_tuspy_continues_after_a_broken_connection(ingest: Ingest) -> None:
    async with breaking_after(MIB, ingest.url) as url:

        def upload() -> str:
            uploader = uploader_of(url, io.BytesIO(AUDIO), retries=5, retry_delay=0)
            uploader.upload()
            return str(uploader.url)

        await assert_was_uploaded(ingest, await asyncio.to_thread(upload))


async def test_tuspy_receives_the_error_for_an_unknown_option(ingest: Ingest) -> None:
    def upload() -> None:
        uploader_of(ingest.url, io.BytesIO(AUDIO), metadata={"colour": "red"}).upload()

    with pytest.raises(TusCommunicationError, match="400"):
        await asyncio.to_thread(upload)


@pytest.fixture(scope="session")
def modules(request: pytest.FixtureRequest) -> Path:
    """The folder of tus-js-client, installed by the lock file and kept between runs."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("tus-js-client needs Node.js and npm, which are not installed")
    cache = request.config.cache
    assert cache is not None
    folder = Path(cache.mkdir("tus-js-client"))
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SCRIPT / name, folder)
    if not (folder / "node_modules/tus-js-client").exists():
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(npm, cwd=folder, timeout=INSTALL_TIMEOUT_S, check=False, capture_output=True)
        if done.returncode:
            pytest.skip("tus-js-client could not be installed: npm reaches no registry")
    return folder


async def run_js(modules: Path, **order: Any) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT / "upload.js"),
        msgspec.json.encode(order).decode(),
        env=os.environ | {"MODULES": str(modules)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    result: dict[str, Any] = msgspec.json.decode(out)
    return result


JS_WAYS: list[dict[str, Any]] = [
    {},
    {"chunkSize": MIB},
    {"uploadDataDuringCreation": True, "chunkSize": MIB},
    {"uploadDataDuringCreation": True},
    {"uploadLengthDeferred": True, "chunkSize": MIB},
    {"overridePatchMethod": True, "chunkSize": 2 * MIB},
]


@pytest.mark.parametrize("options", JS_WAYS, ids=str)
async def test_tus_js_client_uploads(ingest: Ingest, modules: Path, file: Path, options: dict[str, Any]) -> None:
    said = {"filename": "Vortrag äöü.wav", "filetype": "audio/wav", "language": "de"}
    result = await run_js(modules, endpoint=ingest.url + "/v1/uploads", file=str(file), metadata=said, options=options)
    assert result["error"] is None
    job = await assert_was_uploaded(ingest, result["url"])
    assert (result["job"], result["failures"]) == (str(job["id"]), 0)
    assert (job["filename"], job["options"]) == (said["filename"], '{"language":"de"}')


async def test_tus_js_client_resumes(ingest: Ingest, modules: Path, file: Path) -> None:
    endpoint = ingest.url + "/v1/uploads"
    stopped = await run_js(modules, endpoint=endpoint, file=str(file), options={"chunkSize": MIB}, stopAt=2 * MIB)
    assert (stopped["job"], stopped["error"]) == (None, None)
    result = await run_js(modules, endpoint=endpoint, file=str(file), uploadUrl=stopped["url"])
    assert result["url"] == stopped["url"]
    await assert_was_uploaded(ingest, result["url"])


async def test_tus_js_client_continues_after_a_broken_connection(ingest: Ingest, modules: Path, file: Path) -> None:
    async with breaking_after(MIB, ingest.url) as url:
        result = await run_js(modules, endpoint=url + "/v1/uploads", file=str(file))
    assert (result["error"], result["failures"]) == (None, 1)
    await assert_was_uploaded(ingest, result["url"])


async def test_tus_js_client_receives_the_not_audio_error(ingest: Ingest, modules: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<html>" * 100_000)
    result = await run_js(modules, endpoint=ingest.url + "/v1/uploads", file=str(page), options={"uploadSize": 600_000})
    assert "unsupported_media" in result["error"]
    await ingest.assert_nothing_is_left()
