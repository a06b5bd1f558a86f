"""The lint accepts and rejects the right statements; our own migrations pass."""

import pytest

from deploy.migrate import MIGRATIONS
from deploy.schema.lint import objections
from deploy.schema.migration import Migration, Phase, read_migrations

BEFORE_THE_LINT = 8  # migrations from the time when both services were stopped to migrate
OUTSIDE = "-- outside a transaction\n"


def lint(sql: str, phase: Phase = Phase.PRE) -> list[str]:
    return objections(Migration(name="0009_x", phase=phase, sql=sql))


def test_our_migrations_are_safe_from_the_ninth_on() -> None:
    migrations = read_migrations(MIGRATIONS)
    assert [line for migration in migrations[BEFORE_THE_LINT:] for line in objections(migration)] == []


def test_number_and_phase_of_our_migrations_are_unique() -> None:
    numbers = [(migration.name[:4], migration.phase) for migration in read_migrations(MIGRATIONS)]
    assert len(set(numbers)) == len(numbers)


def test_old_migrations_that_needed_a_stop_are_found() -> None:
    before = {migration.name: objections(migration) for migration in read_migrations(MIGRATIONS)[:BEFORE_THE_LINT]}
    assert ["blocks the table while the index is built" in line for line in before["0008_usage_and_quotas"]] == [True]
    assert "cannot be checked" in before["0007_row_level_security"][0]
    assert before["0003_idempotency"] == before["0005_resumable_uploads"] == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE news (id uuid PRIMARY KEY, at timestamptz NOT NULL); CREATE INDEX news_by_age ON news (at)",
        "CREATE TABLE news (at date); ALTER TABLE news ENABLE ROW LEVEL SECURITY; ALTER TABLE news DROP COLUMN at",
        "ALTER TABLE jobs ADD COLUMN priority integer",
        "ALTER TABLE jobs ADD COLUMN priority integer NOT NULL DEFAULT 0, ADD shape json",
        "ALTER TABLE jobs ADD COLUMN price numeric(10, 2) DEFAULT 0 NOT NULL",
        "ALTER TABLE jobs ALTER COLUMN filename DROP NOT NULL",
        "ALTER TABLE jobs ALTER COLUMN stage SET DEFAULT 'prepare'",
        "ALTER TABLE jobs ADD CONSTRAINT priced CHECK (price > 0) NOT VALID",
        "ALTER TABLE jobs DROP CONSTRAINT jobs_stage_check",
        "ALTER TABLE jobs VALIDATE CONSTRAINT priced",
        "ALTER TABLE jobs ADD CONSTRAINT once UNIQUE USING INDEX jobs_once",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ DROP TABLE jobs; SELECT 'DROP TABLE jobs' $$",
        "INSERT INTO tenants (name) VALUES ('DROP TABLE jobs; --')",
        "-- DROP TABLE jobs;\nSELECT 1 /* ; DROP TABLE jobs */",
        "-- safe: from varchar(9), which Postgres only relabels\nALTER TABLE jobs ALTER COLUMN codec TYPE text",
        OUTSIDE + "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS jobs_once ON jobs (tenant, filename)",
        OUTSIDE + "DROP INDEX CONCURRENTLY IF EXISTS jobs_once; REINDEX INDEX CONCURRENTLY jobs_by_age",
    ],
)
def test_compatible_statements_pass(sql: str) -> None:
    assert lint(sql) == []


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ALTER TABLE jobs DROP COLUMN codec", "removes a column"),
        ("alter table only jobs drop codec", "removes a column"),
        ("ALTER TABLE jobs ADD a text, DROP COLUMN IF EXISTS codec", "removes a column"),
        ("DROP TABLE jobs", "removes what"),
        ("DROP FUNCTION usage_day()", "removes what"),
        ("TRUNCATE jobs", "removes what"),
        ("REVOKE SELECT ON jobs FROM headrace_ingest", "removes what"),
        ("ALTER TABLE jobs RENAME COLUMN codec TO coding", "uses the old name"),
        ("ALTER TABLE jobs RENAME TO works", "uses the old name"),
        ("ALTER TABLE jobs ADD COLUMN priority integer NOT NULL", "NOT NULL without a DEFAULT"),
        ("ALTER TABLE jobs ADD a text, ADD IF NOT EXISTS b numeric(9, 2) NOT NULL", "NOT NULL without a DEFAULT"),
        ("ALTER TABLE jobs ALTER COLUMN filename SET NOT NULL", "may write NULL"),
        ("ALTER TABLE jobs ALTER stage DROP DEFAULT", "may omit the column"),
        ("ALTER TABLE jobs ENABLE ROW LEVEL SECURITY", "hides rows"),
        ("CREATE POLICY p ON jobs AS RESTRICTIVE USING (false)", "hides rows"),
        ("UPDATE jobs SET stage = 'finish'", "locks all its rows"),
    ],
)
def test_incompatible_statements_are_rejected_only_in_pre(sql: str, reason: str) -> None:
    assert [line for line in lint(sql) if reason in line]
    assert lint(sql, Phase.POST) == []


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ALTER TABLE jobs ALTER COLUMN generation TYPE bigint", "may rewrite"),
        ("ALTER TABLE jobs ALTER generation SET DATA TYPE bigint", "may rewrite"),
        ("ALTER TABLE jobs ADD COLUMN token uuid DEFAULT gen_random_uuid()", "rewrites the table"),
        ("ALTER TABLE jobs ADD COLUMN number bigserial", "rewrites the table"),
        ("ALTER TABLE jobs ADD COLUMN a text GENERATED ALWAYS AS (lower(codec)) STORED", "rewrites the table"),
        ("ALTER TABLE jobs ADD CONSTRAINT priced CHECK (price > 0)", "NOT VALID, then VALIDATE"),
        ("ALTER TABLE tasks ADD FOREIGN KEY (job_id) REFERENCES jobs", "NOT VALID, then VALIDATE"),
        ("ALTER TABLE jobs ADD CONSTRAINT once UNIQUE (tenant)", ", USING INDEX"),
        ("ALTER TABLE jobs ADD COLUMN a text UNIQUE", ", USING INDEX"),
        ("CREATE INDEX jobs_by_codec ON jobs (codec)", "while the index is built"),
        ("CREATE UNIQUE INDEX ON jobs (codec)", "while the index is built"),
        ("CREATE TABLE news (); CREATE INDEX i ON public.jobs(codec)", "while the index is built"),
        ("DROP INDEX jobs_by_age", "blocks the table"),
        ("REINDEX TABLE jobs", "blocks the table"),
        ("LOCK TABLE jobs", "blocks the table"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE jobs'; END $$", "cannot be checked"),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON jobs (codec)", "cannot run in a transaction"),
        (OUTSIDE + "ALTER TABLE jobs ADD COLUMN a text", "a file of its own"),
        (OUTSIDE + "CREATE INDEX CONCURRENTLY i ON jobs (codec)", "cannot be retried"),
    ],
)
def test_blocking_statements_are_rejected_in_both_phases(sql: str, reason: str, phase: Phase) -> None:
    assert [line for line in lint(sql, phase) if reason in line]
