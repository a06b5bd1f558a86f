"""Reads a migration for what breaks the version before, which still runs on it, or stops its rows for long. Pure.

It knows patterns, not Postgres. A statement after a comment `-- safe: why` is believed.
"""

import re
from collections.abc import Iterator

from deploy.schema.migration import Migration, Phase
from deploy.schema.split_sql import bare, split

BELIEVED = re.compile(r"^\s*-- safe: \S", re.MULTILINE)
IF_THERE = r"(?:IF (?:NOT )?EXISTS )?"
CREATED = re.compile(rf"CREATE (?:UNLOGGED )?TABLE {IF_THERE}(\S+)", re.IGNORECASE)
ALTERED = re.compile(rf"ALTER TABLE {IF_THERE}(?:ONLY )?(\S+) (.*)", re.IGNORECASE)
INDEXED = re.compile(r"CREATE (?:UNIQUE )?INDEX .*?\bON (?:ONLY )?([^\s(]+)", re.IGNORECASE)
COLUMN = rf"ADD (?:COLUMN )?{IF_THERE}(?!(?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b)"

# What the version before trips over: forbidden in `pre`.
BREAKS = (
    (r"DROP (?!INDEX)", "takes away what the version before may use: post"),
    (r"(TRUNCATE|REVOKE)\b", "takes away what the version before may use: post"),
    (r"ALTER (TABLE|TYPE|FUNCTION|INDEX|SEQUENCE) .*\b(RENAME|SET SCHEMA)\b", "the version before knows the old name"),
    (r"CREATE POLICY .*\bAS RESTRICTIVE\b", "hides rows from the version before"),
    (r"(UPDATE|DELETE|MERGE)\b", "holds all its rows until it ends: post, or in batches by the processor's upkeep"),
)
BREAKS_TABLE = (
    (r"DROP (?!CONSTRAINT)", "takes away a column that the version before may use: post"),
    (r"ALTER (COLUMN )?\S+ DROP DEFAULT", "the version before may leave the column out: post"),
    (r"ALTER (COLUMN )?\S+ SET NOT NULL", "the version before may write none: post, after a CHECK was validated"),
    (
        rf"{COLUMN}(?!.*\b(DEFAULT|GENERATED)\b).*\bNOT NULL\b",
        "NOT NULL without a DEFAULT: the version before writes none",
    ),
    (r"(ENABLE|FORCE) ROW LEVEL SECURITY", "hides rows from a version that names no tenant"),
)

# What stops rows of a table for as long as it has many: forbidden in both.
BLOCKS = (
    (r"(DROP INDEX|REINDEX)\b(?!.*\bCONCURRENTLY\b)", "stops the table: CONCURRENTLY"),
    (r"(CLUSTER|LOCK|VACUUM FULL)\b", "stops the table"),
    (r"DO\b", "cannot be read by the lint: plain statements"),
)
BLOCKS_TABLE = (
    (r"ALTER (COLUMN )?\S+ (SET DATA )?TYPE\b", "may rewrite the table: a new column instead"),
    (rf"{COLUMN}.*\bDEFAULT [^,]*\b(random|clock_timestamp|timeofday|nextval|gen_random_uuid|uuidv[47])\b",
     "a default that differs from row to row rewrites the table"),
    (rf"{COLUMN}.*(\b(small|big)?serial\b|\bSTORED\b|\bAS IDENTITY\b)", "rewrites the table"),
    (rf"{COLUMN}.*\b(UNIQUE|PRIMARY KEY)\b", "makes an index while it stops the table: CONCURRENTLY, then USING INDEX"),
    (r"ADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)\b(?!.*\bNOT VALID\b)", "reads all rows: NOT VALID, then VALIDATE"),
    (r"ADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*\bUSING INDEX\b)",
     "makes an index while it stops the table: CONCURRENTLY, then USING INDEX"),
    (r"SET (LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b", "rewrites the table"),
)  # fmt: skip


def objections(migration: Migration) -> list[str]:
    """What is unsafe in it, a line each; a table that the file itself makes may be treated in any way."""
    statements = split(migration.sql)
    own = {found[1].strip('"') for each in statements if (found := CREATED.match(bare(each)))}
    return [
        f"{migration.name}: {why}: {bare(each)[:80]}"
        for each in statements
        if not BELIEVED.search(each)
        for why in _of_statement(bare(each), migration, own)
    ]


def _of_statement(sql: str, migration: Migration, own: set[str]) -> Iterator[str]:
    is_pre = migration.phase is Phase.PRE
    altered, indexed = ALTERED.match(sql), INDEXED.match(sql)
    yield from _found(sql, (BREAKS if is_pre else ()) + BLOCKS)
    if altered and altered[1].strip('"') not in own:
        for action in _actions(altered[2]):
            yield from _found(action, (BREAKS_TABLE if is_pre else ()) + BLOCKS_TABLE)
    if indexed and indexed[1].strip('"') not in own and not _is_concurrent(sql):
        yield "stops the table while the index is made: CONCURRENTLY"
    yield from _of_surroundings(sql, in_transaction=migration.in_transaction)


def _of_surroundings(sql: str, *, in_transaction: bool) -> Iterator[str]:
    if in_transaction and _is_concurrent(sql):
        yield "cannot run in a transaction: a line `-- outside a transaction`"
    elif not in_transaction and not _is_concurrent(sql):
        yield "runs outside a transaction, where there are no limits: a file of its own"
    elif not in_transaction and not re.search(r"\bIF (NOT )?EXISTS\b|^REINDEX", sql, re.IGNORECASE):
        yield "cannot be tried again: IF NOT EXISTS, or IF EXISTS"


def _is_concurrent(sql: str) -> bool:
    return bool(re.match(r"(CREATE (UNIQUE )?INDEX|DROP INDEX|REINDEX .*) CONCURRENTLY\b", sql, re.IGNORECASE))


def _found(sql: str, rules: tuple[tuple[str, str], ...]) -> Iterator[str]:
    return (why for pattern, why in rules if re.match(pattern, sql, re.IGNORECASE))


def _actions(text: str) -> Iterator[str]:
    """The actions of an ALTER TABLE: what commas part outside of brackets."""
    depth, action = 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield action.strip()
            action = ""
        else:
            action += character
    yield action.strip()
