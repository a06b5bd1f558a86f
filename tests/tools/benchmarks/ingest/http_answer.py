"""Parses the answer to an upload from the received bytes. Pure."""

import re
from typing import NamedTuple

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
JOB_ID = re.compile(rb'"job_id": ?"([^"]+)"')
ACCEPTED = 202


class Answer(NamedTuple):
    """`job_id` is None unless the upload was accepted; `closes`: the server closes the connection."""

    status: int
    job_id: str | None
    closes: bool


def read_answer(received: bytes | bytearray) -> Answer | None:
    """Return the answer; None while it is incomplete. Raise ValueError unless it has a Content-Length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, body = bytes(received[: end + 2]), bytes(received[end + 4 :])
    length = LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 ") or length is None:
        raise ValueError(f"not an answer with a Content-Length: {head[:100]!r}")
    if len(body) < int(length[1]):
        return None
    status, job_id = int(head[9:12]), JOB_ID.search(body)
    accepted = status == ACCEPTED and job_id is not None
    return Answer(status, job_id[1].decode() if accepted and job_id else None, CLOSES.search(head) is not None)
