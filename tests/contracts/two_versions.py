"""The migrations that are applied while two versions run."""

from deploy.migrate import MIGRATIONS, Phase
from deploy.schema.migration import Migration, read_migrations


def while_two_run() -> list[Migration]:
    """All but what comes last, when the older version has ended."""
    migrations = read_migrations(MIGRATIONS)
    while migrations[-1].phase is Phase.POST:
        migrations.pop()
    return migrations
