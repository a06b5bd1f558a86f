"""The migrations that are applied while two versions run, and a statement that changes every table."""

from deploy.migrate import MIGRATIONS, Phase
from deploy.schema.migration import Migration, read_migrations

A_COLUMN_EACH = """
DO $$
DECLARE
    it text;
BEGIN
    FOR it IN SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN new_here integer', it);
    END LOOP;
END
$$
"""


def migrations_before_post() -> list[Migration]:
    """Return all migrations except the `post` ones at the end, which wait until the older version has stopped."""
    migrations = read_migrations(MIGRATIONS)
    while migrations[-1].phase is Phase.POST:
        migrations.pop()
    return migrations
