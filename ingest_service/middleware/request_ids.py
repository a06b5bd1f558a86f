"""The id of a request: the client's own, when it is fit to stand in a log and a header, else a new one."""

import re
from collections.abc import Iterable

from shared.ids import new_token

HEADER = b"x-request-id"
OWN_BYTES = 16
FIT = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id by which log lines and the client name the request. A client that sends two gets a new one."""
    sent = [value for name, value in headers if name == HEADER]
    return sent[0].decode("ascii") if len(sent) == 1 and FIT.fullmatch(sent[0]) else new_token(OWN_BYTES)
