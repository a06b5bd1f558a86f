"""Measures what stands in front of the audio: tags (ID3v2, APEv2, ID3v1), several in a row, and zeros. Pure."""

ID3_HEADER_BYTES = 10
ID3_HAS_FOOTER = 0x10
ID3V1_BYTES = 128
APE_HEADER_BYTES = 32
TAG_HEAD_BYTES = APE_HEADER_BYTES
TAGS = (b"ID3", b"APETAGEX", b"TAG")
PADDING = bytes(8)  # fewer zeros may be the start of a file
MAX_TAGS = 16  # and stretches of padding


def tag_bytes(head: bytes) -> int:
    """Return the length of the tag that starts here, or 0. It may exceed the given bytes.

    32 bytes are enough.
    """
    if head.startswith(b"ID3"):
        return _id3v2_bytes(head)
    if head.startswith(b"APETAGEX"):
        return _ape_bytes(head)
    return ID3V1_BYTES if head.startswith(b"TAG") and len(head) > len(b"TAG") else 0


def audio_start(head: bytes) -> int:
    """Return the offset behind all tags and zeros at the start."""
    end = 0
    for _ in range(MAX_TAGS if head.startswith((*TAGS, PADDING)) else 0):
        length = tag_bytes(head[end : end + TAG_HEAD_BYTES]) or _padding_bytes(head, end)
        if not length:
            break
        end += length
    return end


def _padding_bytes(head: bytes, at: int) -> int:
    return len(head) - at - len(head[at:].lstrip(b"\x00")) if head.startswith(PADDING, at) else 0


def _id3v2_bytes(head: bytes) -> int:
    """Measure an ID3v2 tag (id3.org, ID3v2.4 section 3.1)."""
    size = head[6:10]
    if len(head) < ID3_HEADER_BYTES or head[3] not in {2, 3, 4} or head[4] == 0xFF or max(size) > 0x7F:
        return 0
    content_bytes = sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
    has_footer = head[3] == 4 and head[5] & ID3_HAS_FOOTER
    return content_bytes + ID3_HEADER_BYTES * (2 if has_footer else 1)


def _ape_bytes(head: bytes) -> int:
    """Measure an APE tag. Its size counts items and footer, not the header."""
    return APE_HEADER_BYTES + int.from_bytes(head[12:16], "little") if len(head) >= APE_HEADER_BYTES else 0
