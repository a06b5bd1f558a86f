"""Uploads generated audio to a running ingest and measures its memory growth. Linux only: it reads /proc.

By hand: `python -m tests.support.ingest.upload_memory <pid> <url> <megabytes>`.
"""

import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tests.support.ingest.sounds import MIB, wav_header

LIMIT_MIB = 32


class Measured(msgspec.Struct, frozen=True):
    """What an upload cost."""

    status: int
    megabytes: int
    seconds: float
    growth_mib: float


def peak_mib(pid: int) -> float:
    """The process' peak of resident memory since `reset_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def sound(megabytes: int) -> Iterator[bytes]:
    yield wav_header(megabytes * MIB)
    piece = bytes(range(256)) * (MIB // 256)
    for _ in range(megabytes):
        yield piece


def post(url: str, megabytes: int) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    try:
        length = str(len(wav_header(0)) + megabytes * MIB)
        headers = {"Content-Type": "audio/wav", "Content-Length": length}
        connection.request("POST", "/v1/jobs", body=sound(megabytes), headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def measure(pid: int, url: str, megabytes: int) -> Measured:
    """One large upload to an ingest that is warm from small ones."""
    for _ in range(5):
        post(url, 1)
    reset_peak(pid)
    before_mib = peak_mib(pid)
    started_s = time.perf_counter()
    status = post(url, megabytes)
    seconds = time.perf_counter() - started_s
    return Measured(status, megabytes, round(seconds, 2), round(peak_mib(pid) - before_mib, 1))


if __name__ == "__main__":
    measured = measure(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(msgspec.json.encode(measured).decode())
    sys.exit(0 if measured.status == 202 and measured.growth_mib < LIMIT_MIB else 1)
