-- The record: what clients asked for (jobs) and the units of work that carry it out (tasks).
-- States and their transitions are those of shared/states.py; times are the database's own.

CREATE TABLE jobs (
    id              uuid PRIMARY KEY,          -- UUIDv7: sorts by time
    tenant          text NOT NULL DEFAULT 'default',
    status          text NOT NULL DEFAULT 'QUEUED'
                    CHECK (status IN ('QUEUED', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    stage           text NOT NULL DEFAULT 'prepare' CHECK (stage IN ('prepare', 'transcribe', 'finish')),
    generation      integer NOT NULL DEFAULT 1,

    options         json NOT NULL,             -- shared.options.JobOptions
    metadata        json,                      -- the client's, echoed as it came
    webhook_url     text,
    webhook_secret  text,                      -- null: the tenant's secret signs

    filename        text,                      -- as the client named it; never part of a path
    container       text NOT NULL,             -- told from the first bytes
    source_bytes    bigint NOT NULL,
    source_sha256   text NOT NULL,

    duration_s      double precision,          -- of the decoded audio; null until prepared
    sample_rate_hz  integer,
    channels        integer,
    codec           text,

    chunk_count     integer NOT NULL DEFAULT 0,
    chunks_done     integer NOT NULL DEFAULT 0,
    warnings        json NOT NULL DEFAULT '[]',
    error_code      text,
    error_message   text,

    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    completed_at    timestamptz
);
CREATE INDEX jobs_newest_first ON jobs (tenant, id DESC);
CREATE INDEX jobs_queued ON jobs (id) WHERE status = 'QUEUED';

CREATE TABLE tasks (
    id                uuid PRIMARY KEY,
    job_id            uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    generation        integer NOT NULL DEFAULT 1,
    kind              text NOT NULL CHECK (kind IN ('prepare', 'chunk', 'finish', 'deliver')),
    ordinal           integer NOT NULL DEFAULT 0,
    state             text NOT NULL DEFAULT 'dispatched'
                      CHECK (state IN ('pending', 'dispatched', 'running', 'waiting', 'done', 'dead', 'cancelled')),
    input             json,                    -- what a chunk or a delivery needs to know
    progress          real NOT NULL DEFAULT 0, -- of the running attempt, 0 to 1

    dispatch_no       integer NOT NULL DEFAULT 1,
    attempts          integer NOT NULL DEFAULT 0, -- failed attempts; an interruption is none
    crashes           integer NOT NULL DEFAULT 0, -- lost leases and native crashes
    not_before        timestamptz,             -- when a waiting task is due

    lease_token       bigint NOT NULL DEFAULT 0, -- grows with each claim; every later write must show it
    lease_expires_at  timestamptz,
    leased_by         text,

    failure           json,                    -- shared.failures.Failure of the last failed attempt
    first_failed_at   timestamptz,
    last_failed_at    timestamptz,

    created_at        timestamptz NOT NULL DEFAULT now(),
    dispatched_at     timestamptz NOT NULL DEFAULT now(),
    started_at        timestamptz,
    finished_at       timestamptz,
    UNIQUE (job_id, generation, kind, ordinal)
);
CREATE INDEX tasks_dispatched ON tasks (dispatched_at) WHERE state = 'dispatched';
CREATE INDEX tasks_running ON tasks (lease_expires_at) WHERE state = 'running';
CREATE INDEX tasks_waiting ON tasks (not_before) WHERE state = 'waiting';
