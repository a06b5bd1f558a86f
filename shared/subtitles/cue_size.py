"""The largest size of a subtitle cue."""

from typing import Annotated

import msgspec

MaxChars = Annotated[int, msgspec.Meta(ge=10, le=200)]
MaxLines = Annotated[int, msgspec.Meta(ge=1, le=4)]
MaxSeconds = Annotated[float, msgspec.Meta(ge=1, le=60)]


class CueSize(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a cue may show. Full-width characters count as two columns."""

    max_chars: int = 42  # of a line
    max_lines: int = 2
    max_seconds: float = 7.0

    @property
    def max_ms(self) -> int:
        """Return `max_seconds` in whole milliseconds, rounded down."""
        return int(self.max_seconds * 1000)

    def but(self, **changes: float | None) -> "CueSize":
        """Return a copy with the changes that are not None."""
        return msgspec.structs.replace(self, **{name: value for name, value in changes.items() if value is not None})
