-- Resumable uploads (tus 1.0): how far each is, and which parts of it lie in the blob store.

CREATE TABLE uploads (
    id                uuid PRIMARY KEY,
    tenant            text NOT NULL DEFAULT 'default',
    length_bytes      bigint,                  -- null: the client says it later
    offset_bytes      bigint NOT NULL DEFAULT 0, -- stored and acknowledged; it never goes back

    options           json,                    -- shared.options.SubmitOptions; null once the job has them
    filename          text,
    metadata          text,                    -- the header Upload-Metadata, echoed; without the webhook's secret

    lease_token       bigint NOT NULL DEFAULT 0, -- grows with each request that works on it; fences every later write
    lease_expires_at  timestamptz,             -- null: nobody works on it
    wanted            boolean NOT NULL DEFAULT false, -- a newer request waits for whoever holds it to stop

    job_id            uuid,                    -- chosen before the job is recorded, so that it is recorded once
    completed_at      timestamptz,             -- the job is recorded
    ended_at          timestamptz,             -- terminated, refused or expired: the row says so for a while
    parts_removed_at  timestamptz,

    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_to_clear ON uploads (id)
    WHERE parts_removed_at IS NULL AND (ended_at IS NOT NULL OR completed_at IS NOT NULL);
CREATE INDEX uploads_of_job ON uploads (job_id) WHERE job_id IS NOT NULL;

-- The bytes from one offset on, as one blob; without gaps or overlaps.
CREATE TABLE upload_parts (
    upload_id     uuid NOT NULL REFERENCES uploads ON DELETE CASCADE,
    offset_bytes  bigint NOT NULL,
    bytes         bigint NOT NULL CHECK (bytes > 0),
    lease_token   bigint NOT NULL,             -- under which it was written: part of its key
    PRIMARY KEY (upload_id, offset_bytes)
);
