"""Migrations as files: what each is called, in which phase and order they come, and which may be applied now. Pure but
for reading a folder.

`0009_x.pre.sql` (or `0009_x.sql`) comes before the new version starts: the version before must run on it unharmed.
`0009_x.post.sql` comes once the version before has ended everywhere. A file with the line `-- outside a transaction`
is run statement by statement, for what Postgres does in no transaction (CREATE INDEX CONCURRENTLY).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import takewhile
from pathlib import Path

import msgspec

NAME = re.compile(r"(?P<title>[0-9]{4}_[a-z0-9_]+)(?:\.(?P<phase>pre|post))?")
OUTSIDE = re.compile(r"^-- outside a transaction\s*$", re.MULTILINE)


class MigrationError(Exception):
    """The schema could not be updated. The message is one line without a password."""


class Phase(StrEnum):
    """When a migration may be applied while services run."""

    PRE = "pre"  # before the new version starts; also files without a phase in their name
    POST = "post"  # after the previous version has stopped


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A migration file."""

    name: str  # the file name without `.sql`; stored in the database
    phase: Phase
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not OUTSIDE.search(self.sql)


def read_migrations(folder: Path) -> list[Migration]:
    """Read a folder, in the order in which every database gets them. Raise MigrationError for an invalid name."""
    ordered = []
    for path in folder.glob("*.sql"):
        named = NAME.fullmatch(path.stem)
        if not named:
            raise MigrationError(f"invalid migration name {path.name}: use 0009_title.pre.sql or 0009_title.post.sql")
        phase = Phase(named["phase"] or "pre")
        migration = Migration(name=path.stem, phase=phase, sql=path.read_text(encoding="utf-8"))
        ordered.append((named["title"], phase is Phase.POST, migration))
    return [migration for *_, migration in sorted(ordered, key=lambda each: each[:2])]


def due(migrations: Sequence[Migration], applied: Mapping[str, str | None]) -> list[Migration]:
    """Return the migrations that are not applied yet. `applied`: the sha256 by name, None for old databases.

    Raise MigrationError for a file that was changed after it was applied: databases would differ silently.
    """
    for migration in migrations:
        if applied.get(migration.name) not in (None, migration.sha256):
            raise MigrationError(f"{migration.name} was changed after it was applied: restore it and add a new file")
    return [migration for migration in migrations if migration.name not in applied]


def choose(due: Sequence[Migration], phase: Phase | None) -> list[Migration]:
    """Return the due migrations that a phase may apply now, in order; None: all phases.

    Raise MigrationError if a migration of the other phase must come first.
    """
    if phase is None:
        return list(due)
    first = list(takewhile(lambda each: each.phase is phase, due))
    left = due[len(first) :]
    if phase is Phase.POST and due and not first:
        raise MigrationError(
            f"{due[0].name} is due first: run --phase pre, replace the services, then run --phase post"
        )
    if phase is Phase.PRE and any(each.phase is Phase.PRE for each in left):
        raise MigrationError(
            f"{left[0].name} was never applied: run --phase post if its version runs everywhere;"
            " else stop both services and run --phase all"
        )
    return first
