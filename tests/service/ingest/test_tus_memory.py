"""A large resumable upload needs no more memory than a small one, while it arrives and while it is composed."""

import asyncio
import http.client
import time
from urllib.parse import urlsplit

from ingest_service.settings import IngestSettings
from tests.support.ingest.process import running
from tests.support.ingest.sounds import MIB, wav_header
from tests.support.ingest.tus_client import OFFSET_TYPE, VERSION
from tests.support.ingest.upload_memory import LIMIT_MIB, Measured, peak_mib, reset_peak, sound

UPLOAD_MIB = 512


def upload(url: str, megabytes: int) -> int:
    """In one PATCH; its status."""
    parts = urlsplit(url)
    length = str(len(wav_header(0)) + megabytes * MIB)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    try:
        connection.request("POST", "/v1/uploads", headers=VERSION | {"Upload-Length": length})
        created = connection.getresponse()
        created.read()
        headers = VERSION | {"Content-Type": OFFSET_TYPE, "Upload-Offset": "0", "Content-Length": length}
        connection.request("PATCH", str(created.headers["Location"]), body=sound(megabytes), headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status if answer.headers["Headrace-Job-Id"] else 0
    finally:
        connection.close()


def measure(pid: int, url: str) -> Measured:
    for _ in range(5):
        upload(url, 1)
    reset_peak(pid)
    before_mib = peak_mib(pid)
    started_s = time.perf_counter()
    status = upload(url, UPLOAD_MIB)
    seconds = time.perf_counter() - started_s
    return Measured(status, UPLOAD_MIB, round(seconds, 2), round(peak_mib(pid) - before_mib, 1))


async def test_a_large_resumable_upload_needs_constant_memory(settings: IngestSettings) -> None:
    async with running(settings) as (process, url):
        measured = await asyncio.to_thread(measure, process.pid, url)
    print(measured)
    assert measured.status == 204
    assert measured.growth_mib < LIMIT_MIB
