"""What a process of the load generator is told to do, and what it tells when it is done."""

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """How the clients behave."""

    KEPT_ALIVE = "kept-alive"  # each sends upload after upload on its connection, until the time is over
    AT_ONCE = "at-once"  # all connect at one moment, and send one upload each
    HELD_OPEN = "held-open"  # each holds one upload open, sends it in small pieces, and then finishes


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds; `start_at_s` is on the machine's monotonic clock, so that processes start together."""

    port: int
    mode: Mode
    audio_bytes: int
    clients: int
    first_number: int  # of the uploads
    sources: tuple[str, ...]  # addresses to connect from, in turn: an address has only so many ports
    start_at_s: float
    seconds: float  # KEPT_ALIVE: for how long uploads are begun
    ramp_s: float = 0  # HELD_OPEN: over which the clients come
    hold_s: float = 0  # HELD_OPEN: from the first piece of an upload to the last
    most_s: float  # then what is unanswered is an error


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Latency runs to the whole answer, from the first byte; held open, from the last piece."""

    accepted: list[tuple[int, str]]  # number of the upload, id of the job
    latencies_s: list[float]  # of the accepted
    errors: dict[str, int]
    started_s: float
    ended_s: float
    cpu_s: float
    most_open: int  # uploads under way at a time
