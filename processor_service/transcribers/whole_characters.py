"""Keep only the tokens of a text that form whole characters. Pure.

Whisper's tokens are sequences of bytes; a character of Chinese or an emoji may take three of them. A model that fails
may write a part of a character, which would be shown as U+FFFD.
"""

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"  # stands for bytes that are not text; a model may also write it itself
MAX_CHARACTER_BYTES = 4


def whole_characters(tokens: Sequence[int], bytes_of: Callable[[int], bytes]) -> list[int]:
    """The tokens without those whose bytes are not UTF-8 together with their neighbours."""
    kept: list[int] = []
    held: list[int] = []  # the beginning of a character
    for token in tokens:
        held.append(token)
        while held and not _may_continue(data := b"".join(map(bytes_of, held))):
            if _is_text(data):
                kept += held
                held = []
            else:
                del held[0]
    return kept


def _may_continue(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8 except that the last character is incomplete."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and len(data) - error.start < MAX_CHARACTER_BYTES
    return False


def _is_text(data: bytes) -> bool:
    try:
        return REPLACEMENT not in data.decode()
    except UnicodeDecodeError:
        return False
