-- Voices that a tenant keeps: a name and an embedding, no audio. The processor makes the embedding of the sample, which
-- is then forgotten.

CREATE TABLE voices (
    id             uuid PRIMARY KEY,
    tenant         text NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name           text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    sample         json,                       -- shared.schemas.known_speakers.VoiceSample; null: it was read
    attempts       smallint NOT NULL DEFAULT 0,
    claimed_until  timestamptz,                -- a processor reads the sample until then
    embedding      bytea,                      -- 192 numbers of 16 bits
    speech_s       real,                       -- of the sample
    failure        text                        -- why there is no embedding
);
CREATE INDEX voices_of_tenant ON voices (tenant, id);
CREATE INDEX voices_to_read ON voices (id) WHERE sample IS NOT NULL;
CREATE POLICY of_tenant ON voices USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE voices ENABLE ROW LEVEL SECURITY;
ALTER TABLE voices FORCE ROW LEVEL SECURITY;

-- The ingest never reads an embedding, and the processor neither adds nor deletes a voice.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON voices FROM headrace_ingest;
        GRANT INSERT (id, tenant, name, sample), DELETE,
            SELECT (id, tenant, name, created_at, sample, speech_s, failure) ON voices TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON voices FROM headrace_processor;
        GRANT SELECT (id, tenant, name, sample, attempts, claimed_until, embedding, failure),
            UPDATE (sample, attempts, claimed_until, embedding, speech_s, failure) ON voices TO headrace_processor;
    END IF;
END
$$;
