"""How large a cue of subtitles may be."""

from typing import Annotated

import msgspec

MaxChars = Annotated[int, msgspec.Meta(ge=10, le=200)]
MaxLines = Annotated[int, msgspec.Meta(ge=1, le=4)]
MaxSeconds = Annotated[float, msgspec.Meta(ge=1, le=60)]


class CueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a screen holds and an eye reads. Full-width characters count double, as they are twice as wide."""

    max_chars: int = 42  # of a line
    max_lines: int = 2
    max_seconds: float = 7.0

    @property
    def max_ms(self) -> int:
        """Rounded down: a limit is a limit."""
        return int(self.max_seconds * 1000)

    def but(self, **others: float | None) -> "CueLimits":
        """With other limits where there are any."""
        return msgspec.structs.replace(self, **{name: limit for name, limit in others.items() if limit is not None})
