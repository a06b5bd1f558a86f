"""Finds statements of a migration that break the previous version, which still runs, or block rows for long. Pure.

It matches patterns. A statement after a comment `-- safe: why` is accepted.
squawk-cli 2.70 cannot replace it: no phases; misses UPDATE, TRUNCATE, REVOKE, LOCK, DO and row-level security.
"""

import re
from collections.abc import Iterator

from deploy.schema.migration import Migration, Phase
from deploy.schema.split_sql import bare, split

ACCEPTED = re.compile(r"^\s*-- safe: \S", re.MULTILINE)
IF_EXISTS = r"(?:IF (?:NOT )?EXISTS )?"
CREATED = re.compile(rf"CREATE (?:UNLOGGED )?TABLE {IF_EXISTS}(\S+)", re.IGNORECASE)
ALTERED = re.compile(rf"ALTER TABLE {IF_EXISTS}(?:ONLY )?(\S+) (.*)", re.IGNORECASE)
INDEXED = re.compile(r"CREATE (?:UNIQUE )?INDEX .*?\bON (?:ONLY )?([^\s(]+)", re.IGNORECASE)
COLUMN = rf"ADD (?:COLUMN )?{IF_EXISTS}(?!(?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b)"

# What breaks the previous version: forbidden in `pre`.
BREAKS = (
    (r"DROP (?!INDEX)", "removes what the previous version may use: post"),
    (r"(TRUNCATE|REVOKE)\b", "removes what the previous version may use: post"),
    (r"ALTER (TABLE|TYPE|FUNCTION|INDEX|SEQUENCE) .*\b(RENAME|SET SCHEMA)\b", "the previous version uses the old name"),
    (r"CREATE POLICY .*\bAS RESTRICTIVE\b", "hides rows from the previous version"),
    (
        r"(UPDATE|DELETE|MERGE)\b",
        "locks all its rows until it ends: post, or in batches by the processor's maintenance",
    ),
)
BREAKS_TABLE = (
    (r"DROP (?!CONSTRAINT)", "removes a column that the previous version may use: post"),
    (r"ALTER (COLUMN )?\S+ DROP DEFAULT", "the previous version may omit the column: post"),
    (r"ALTER (COLUMN )?\S+ SET NOT NULL", "the previous version may write NULL: post, after validating a CHECK"),
    (
        rf"{COLUMN}(?!.*\b(DEFAULT|GENERATED)\b).*\bNOT NULL\b",
        "NOT NULL without a DEFAULT: the previous version writes NULL",
    ),
    (r"(ENABLE|FORCE) ROW LEVEL SECURITY", "hides rows from a version that sets no tenant"),
)

# What blocks a large table for long: forbidden in both phases.
BLOCKS = (
    (r"(DROP INDEX|REINDEX)\b(?!.*\bCONCURRENTLY\b)", "blocks the table: use CONCURRENTLY"),
    (r"(CLUSTER|LOCK|VACUUM FULL)\b", "blocks the table"),
    (r"DO\b", "cannot be checked: use plain statements"),
)
BLOCKS_TABLE = (
    (r"ALTER (COLUMN )?\S+ (SET DATA )?TYPE\b", "may rewrite the table: add a new column instead"),
    (rf"{COLUMN}.*\bDEFAULT [^,]*\b(random|clock_timestamp|timeofday|nextval|gen_random_uuid|uuidv[47])\b",
     "a default that differs from row to row rewrites the table"),
    (rf"{COLUMN}.*(\b(small|big)?serial\b|\bSTORED\b|\bAS IDENTITY\b)", "rewrites the table"),
    (rf"{COLUMN}.*\b(UNIQUE|PRIMARY KEY)\b", "blocks the table while it builds an index: CONCURRENTLY, USING INDEX"),
    (r"ADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)\b(?!.*\bNOT VALID\b)", "reads all rows: NOT VALID, then VALIDATE"),
    (r"ADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*\bUSING INDEX\b)",
     "blocks the table while it builds an index: CONCURRENTLY, USING INDEX"),
    (r"SET (LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b", "rewrites the table"),
)  # fmt: skip


def objections(migration: Migration) -> list[str]:
    """Return what is unsafe, one line each. A table that the file creates may be changed in any way."""
    statements = split(migration.sql)
    own = {found[1].strip('"') for each in statements if (found := CREATED.match(bare(each)))}
    return [
        f"{migration.name}: {why}: {bare(each)[:80]}"
        for each in statements
        if not ACCEPTED.search(each)
        for why in _statement_objections(bare(each), migration, own)
    ]


def _statement_objections(sql: str, migration: Migration, own: set[str]) -> Iterator[str]:
    is_pre = migration.phase is Phase.PRE
    altered, indexed = ALTERED.match(sql), INDEXED.match(sql)
    yield from _found(sql, (BREAKS if is_pre else ()) + BLOCKS)
    if altered and altered[1].strip('"') not in own:
        for action in _actions(altered[2]):
            yield from _found(action, (BREAKS_TABLE if is_pre else ()) + BLOCKS_TABLE)
    if indexed and indexed[1].strip('"') not in own and not _is_concurrent(sql):
        yield "blocks the table while the index is built: use CONCURRENTLY"
    yield from _transaction_objections(sql, in_transaction=migration.in_transaction)


def _transaction_objections(sql: str, *, in_transaction: bool) -> Iterator[str]:
    if in_transaction and _is_concurrent(sql):
        yield "cannot run in a transaction: add a line `-- outside a transaction`"
    elif not in_transaction and not _is_concurrent(sql):
        yield "runs outside a transaction, without timeouts: move it to a file of its own"
    elif not in_transaction and not re.search(r"\bIF (NOT )?EXISTS\b|^REINDEX", sql, re.IGNORECASE):
        yield "cannot be retried: use IF NOT EXISTS or IF EXISTS"


def _is_concurrent(sql: str) -> bool:
    return bool(re.match(r"(CREATE (UNIQUE )?INDEX|DROP INDEX|REINDEX .*) CONCURRENTLY\b", sql, re.IGNORECASE))


def _found(sql: str, rules: tuple[tuple[str, str], ...]) -> Iterator[str]:
    return (why for pattern, why in rules if re.match(pattern, sql, re.IGNORECASE))


def _actions(text: str) -> Iterator[str]:
    """Split the actions of an ALTER TABLE at commas outside parentheses."""
    depth, action = 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield action.strip()
            action = ""
        else:
            action += character
    yield action.strip()
