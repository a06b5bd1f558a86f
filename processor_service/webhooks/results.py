"""What can come of a delivery attempt, as values: `send` and `sign` find out, `judge` decides what it means."""

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint answered: its status and headers came, whatever became of the rest."""

    status: int
    retry_after: str | None = None
    text: str = ""  # its first bytes


class NoAnswer(msgspec.Struct, frozen=True):
    """It did not; `why` goes on after "The webhook endpoint …"."""

    why: str


class Blocked(msgspec.Struct, frozen=True):
    """Nothing was sent; `why` goes on after "The webhook's URL is refused: …"."""

    why: str


class Unsigned(msgspec.Struct, frozen=True):
    """Nothing was sent, as nothing could sign it; `why` is a sentence."""

    why: str


Result = Answer | NoAnswer | Blocked | Unsigned
