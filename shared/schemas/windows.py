"""The text that is published while a job runs; see `shared/window_feed.py`."""

import msgspec


class WindowSegment(msgspec.Struct, frozen=True, kw_only=True):
    """About one sentence. Times are seconds in the source."""

    start: float
    end: float
    text: str


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consecutive segments of one chunk. Later steps seldom change them."""

    chunk: int = 0
    number: int = 0  # in the chunk, from 0; another attempt publishes the same numbers again
    segments: tuple[WindowSegment, ...] = ()
    is_last: bool = False  # of the chunk
