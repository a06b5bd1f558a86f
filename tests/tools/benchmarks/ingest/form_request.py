"""The bytes of a form upload, built once. Requests differ only in the stamps in their audio."""

from collections.abc import Iterator

from tests.tools.benchmarks.ingest.upload_audio import NOISE, STAMP, split_blocks, wav_header

BOUNDARY = "headrace-benchmark-7d9f3c51"
PART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="call.wav"\r\n'
    "Content-Type: audio/wav\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class FormRequest:
    """A POST of one file of `audio_bytes`."""

    def __init__(self, host: str, audio_bytes: int) -> None:
        self._whole_blocks, last_bytes = split_blocks(audio_bytes)
        self.body_bytes = len(PART) + audio_bytes + len(TAIL)
        self._lead = _head(host, self.body_bytes) + PART + wav_header(audio_bytes)
        self._last = NOISE[: last_bytes - STAMP.size] + TAIL

    def batches(self, number: int) -> Iterator[list[bytes]]:
        """Yield the request of upload `number` as lists of buffers for `sendmsg`; no large copies."""
        lead = self._lead
        for block in range(self._whole_blocks):
            yield [lead, STAMP.pack(number, block), NOISE]
            lead = b""
        yield [lead, STAMP.pack(number, self._whole_blocks), self._last]

    def whole(self, number: int) -> bytes:
        """Return a whole request. For small uploads."""
        return b"".join(buffer for batch in self.batches(number) for buffer in batch)


def _head(host: str, body_bytes: int) -> bytes:
    lines = (
        "POST /v1/jobs HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {body_bytes}",
        "\r\n",
    )
    return "\r\n".join(lines).encode()
