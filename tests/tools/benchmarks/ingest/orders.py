"""The input and output of one process of the load generator."""

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """How the clients behave."""

    KEPT_ALIVE = "kept-alive"  # each client sends uploads on one connection until `seconds` have passed
    AT_ONCE = "at-once"  # all clients connect at once and send one upload each
    HELD_OPEN = "held-open"  # each client sends one upload in small pieces over `hold_s`


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds. `start_at_s` is on the monotonic clock, so that all processes start together."""

    port: int
    mode: Mode
    audio_bytes: int
    clients: int
    first_number: int  # number of the first upload
    sources: tuple[str, ...]  # source addresses, used in rotation: each has a limited number of ports
    start_at_s: float
    seconds: float  # KEPT_ALIVE: no upload starts after this time
    ramp_s: float = 0  # HELD_OPEN: the clients start within this time
    hold_s: float = 0  # HELD_OPEN: time from the first piece of an upload to the last
    timeout_s: float  # unanswered uploads are errors after this time


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Latency is the time from the first byte (HELD_OPEN: from the last piece) to the whole answer."""

    accepted: list[tuple[int, str]]  # number of the upload, id of the job
    latencies_s: list[float]  # of the accepted uploads
    errors: dict[str, int]
    started_s: float
    ended_s: float
    cpu_s: float
    most_open: int  # most concurrent uploads
