"""Ogg files may be chained: streams one after another, as radio recorders write them. Counts them by their pages."""

from typing import BinaryIO

HEADER_BYTES = 27
BEGIN_OF_STREAM = 2


def count_links(file: BinaryIO) -> int:
    """How many groups of stream beginnings the file has; stops counting where the pages stop."""
    file.seek(0)
    links, within_beginnings = 0, False
    while (flags := _next_page(file)) is not None:
        begins = bool(flags & BEGIN_OF_STREAM)
        links += begins and not within_beginnings
        within_beginnings = begins
    return links


def _next_page(file: BinaryIO) -> int | None:
    """The flags of the page at the file's position, which moves to the next page. None: no page there."""
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(b"OggS"):
        return None
    sizes = file.read(header[26])
    file.seek(sum(sizes), 1)
    return header[5]
