"""Search the transcripts of a tenant whose jobs are searchable. Postgres finds passages; here they become hits."""

from bisect import bisect_right
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.filters import JobFilter, id_range
from shared.full_text import CONFIGS, RUN, SIMPLE, config_of, searched
from shared.schemas.api import TranscriptHit, TranscriptHits

MOST_PASSAGES = 2000  # that are ranked, the newest ones
TIMEOUT_MS = 2000
CONTEXT_CHARS = 80  # before and after the first word that was found
BEGINS, ENDS = "\x02", "\x03"  # around each word that was found
ALL_CONFIGS = [SIMPLE, *sorted(set(CONFIGS.values()))]

TOO_BROAD = "The search took too long. Search for rarer words, or in a shorter time (`created_after`)."
LIMIT_TIME = f"SET LOCAL statement_timeout = {TIMEOUT_MS}"
SEARCH = "SELECT * FROM search_transcripts($1, $2, $3, $4, $5, $6, $7, $8, $9)"


class TextSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for, how many hits to skip, and how many to return. `wanted` has only the times."""

    q: str
    language: str | None
    wanted: JobFilter
    skip: int
    limit: int


async def search_transcripts(database: Database, tenant: str, search: TextSearch) -> TranscriptHits:
    """Return a page of hits, the best first. Raise RefusedError if the search takes too long."""
    highest, lowest = id_range(search.wanted, None)
    configs = ALL_CONFIGS if search.language is None else [config_of(search.language)]
    times = search.wanted.created_after, search.wanted.created_before
    bounds = MOST_PASSAGES, search.skip, search.limit

    async def read(connection: Any) -> Any:
        await connection.execute(LIMIT_TIME)
        try:
            return await connection.fetch(SEARCH, searched(search.q), configs, lowest, highest, *times, *bounds)
        except asyncpg.QueryCanceledError as error:
            raise RefusedError("search_too_broad", TOO_BROAD) from error

    rows = await database.read(read, tenant)
    end = search.skip + len(rows)
    return TranscriptHits(
        hits=tuple(_hit(row, search.q) for row in rows),
        complete=all(row["is_complete"] for row in rows),
        next_cursor=None if not rows or rows[0]["is_last"] else str(end),
    )


def _hit(row: Any, q: str) -> TranscriptHit:
    body, found = marked_spans(row["headline"])
    found = found or runs_in(body, q)
    first = found[0][0] if found else 0
    places: list[tuple[int, float]] = msgspec.json.decode(row["segments"], type=list[tuple[int, float]])
    number = max(0, bisect_right(places, first, key=lambda place: place[0]) - 1)
    snippet, highlights = snippet_of(body, found)
    job_id: UUID = row["job_id"]
    return TranscriptHit(
        job_id=str(job_id),
        filename=row["filename"],
        created_at=row["created_at"],
        start=places[number][1],
        snippet=snippet,
        highlights=highlights,
        rank=round(row["rank"], 6),
    )


def marked_spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without its marks, and the spans that were between them."""
    plain, spans = "", []
    for number, part in enumerate(text.split(BEGINS)):
        marked, ends, rest = part.partition(ENDS)
        if number and ends:
            spans.append((len(plain), len(plain) + len(marked)))
        plain += marked + rest
    return plain, spans


def runs_in(body: str, q: str) -> list[tuple[int, int]]:
    """Return where the parts of a search in scripts without spaces are in a text."""
    runs = [run[0] for run in RUN.finditer(q)]
    places = [(body.find(run), len(run)) for run in runs]
    return sorted((at, at + length) for at, length in places if at >= 0)


def snippet_of(body: str, spans: list[tuple[int, int]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the text around the first span, and the spans in it. Words are not cut."""
    first = spans[0] if spans else (0, 0)
    begins = body.rfind(" ", 0, first[0] - CONTEXT_CHARS) + 1 if first[0] > CONTEXT_CHARS else 0
    begins = max(begins, first[0] - 2 * CONTEXT_CHARS)  # there may be no space
    ends = min(len(body), first[1] + CONTEXT_CHARS)
    space = body.find(" ", ends, ends + CONTEXT_CHARS)
    ends = ends if space < 0 or ends == len(body) else space
    within = tuple((start - begins, end - begins) for start, end in spans if start >= begins and end <= ends)
    return body[begins:ends], within
