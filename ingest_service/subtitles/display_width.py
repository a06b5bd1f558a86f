"""How wide text is on a screen, in columns of a Latin letter."""

from unicodedata import category, east_asian_width

NO_WIDTH = ("Mn", "Me", "Cf")  # marks over and under letters, and what only steers


def display_width(text: str) -> int:
    """Full-width characters count two (Unicode Standard Annex 11), combining marks none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if category(character) in NO_WIDTH:
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1
