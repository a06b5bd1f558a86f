"""Bounds the pages of lists in bytes: a page ends early, and its cursor continues there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_PAGE_BYTES = 1 << 20  # of rows as Postgres writes them; a page has at least one row


class Page(NamedTuple):
    """The rows of a page, and whether more follow."""

    rows: Sequence[Any]
    has_more: bool


def page_of(select: str, order: str) -> str:
    """Return the CTE `page` with the first rows of a SELECT, up to MAX_PAGE_BYTES, in the order of its columns.

    `found_rows` is the number of rows without that bound. The SELECT must have a LIMIT.
    """
    return f"""
        found AS ({select}),
        sized AS (
            SELECT found.*, sum(octet_length(found::text)) OVER by_order AS bytes_so_far,
                   row_number() OVER by_order AS row_of_page, count(*) OVER () AS found_rows
            FROM found WINDOW by_order AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)
        ),
        page AS (SELECT * FROM sized WHERE row_of_page = 1 OR bytes_so_far <= {MAX_PAGE_BYTES})
    """  # noqa: S608 - constants


def cut(rows: Sequence[Any], limit: int) -> Page:
    """Return the page of rows that were selected with LIMIT `limit` + 1."""
    shown = rows[:limit]
    return Page(shown, bool(shown) and shown[0]["found_rows"] > len(shown))
