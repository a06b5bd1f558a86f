-- What each tenant used in each day of UTC, and what it may use.

-- Written by the transactions that record a job or learn of its audio. Those of the same moment would wait for each
-- other at one row, so each connection has one of its own; who reads adds them up.
CREATE TABLE tenant_usage (
    tenant   text NOT NULL,
    day      date NOT NULL,
    shard    smallint NOT NULL,                  -- of the connection: its process id at the server, modulo 64
    uploads  bigint NOT NULL DEFAULT 0,          -- jobs that were handed in, in whichever way
    bytes    bigint NOT NULL DEFAULT 0,          -- of their audio; of a URL on the day it was fetched
    audio_s  double precision NOT NULL DEFAULT 0, -- of the audio, on the day it was decoded
    PRIMARY KEY (tenant, day, shard)
) WITH (fillfactor = 50);                        -- rows are rewritten in their page

CREATE INDEX tenant_usage_to_fold ON tenant_usage (day) WHERE shard > 0; -- rows of days that are over become one

-- The row of today that a connection adds to.
CREATE FUNCTION usage_day() RETURNS date LANGUAGE sql STABLE AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;
CREATE FUNCTION usage_shard() RETURNS smallint LANGUAGE sql STABLE AS $$ SELECT (pg_backend_pid() % 64)::smallint $$;

-- Quotas that differ from the settings' own. Null: the settings' counts; 0: there is no limit.
CREATE TABLE tenant_quotas (
    tenant               text PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    bytes_a_day          bigint CHECK (bytes_a_day >= 0),
    audio_seconds_a_day  bigint CHECK (audio_seconds_a_day >= 0),
    jobs_queued          integer CHECK (jobs_queued >= 0),
    uploads_at_once      integer CHECK (uploads_at_once >= 0)
);

-- The second wall between tenants, as around all else that belongs to one.
CREATE POLICY of_tenant ON tenant_usage USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
CREATE POLICY of_tenant ON tenant_quotas USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE tenant_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_usage FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant_quotas ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_quotas FORCE ROW LEVEL SECURITY;

-- How many of a tenant's jobs are queued, counted up to its quota.
CREATE INDEX jobs_queued_of_tenant ON jobs (tenant) WHERE status = 'QUEUED';
