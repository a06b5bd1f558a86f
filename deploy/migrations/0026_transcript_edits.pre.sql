-- Versions of a client's corrections of a transcript. Each holds all changes, relative to the engine's text.

CREATE TABLE transcript_edits (
    job_id           uuid NOT NULL REFERENCES jobs,
    version          integer NOT NULL CHECK (version > 0),
    generation       integer NOT NULL,         -- whose transcript the changes address
    text_generation  integer NOT NULL,         -- the one that transcribed it; another one makes the version outdated
    key_id           text,                     -- the author; null: keys are not required
    changes          integer NOT NULL,
    bytes            integer NOT NULL,         -- of `edits`
    edits            json NOT NULL,            -- shared.schemas.transcript_edits.TranscriptEdits
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, version)
);
CREATE POLICY of_tenant ON transcript_edits USING ((SELECT sees_all_tenants())
    OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_id));
ALTER TABLE transcript_edits ENABLE ROW LEVEL SECURITY;
ALTER TABLE transcript_edits FORCE ROW LEVEL SECURITY;

-- The ingest adds, reads and drops versions and changes none; the processor only erases them with their jobs.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON transcript_edits FROM headrace_ingest;
        GRANT SELECT, INSERT, DELETE ON transcript_edits TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON transcript_edits FROM headrace_processor;
        GRANT DELETE, SELECT (job_id) ON transcript_edits TO headrace_processor;
    END IF;
END
$$;
