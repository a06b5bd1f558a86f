"""The width of text on a screen, in columns of a Latin letter."""

from unicodedata import category, east_asian_width

ZERO_WIDTH = ("Mn", "Me", "Cf")  # combining marks and format characters


def display_width(text: str) -> int:
    """Return the columns of a text. Full-width characters count as two (Unicode Standard Annex 11), marks as none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if category(character) in ZERO_WIDTH:
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1
