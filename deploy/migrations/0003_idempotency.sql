-- Requests that a client named, so that sending one again does not do its work again.
-- A row is a claim while its request is under way, renewed by the process that has it; with a job it is the answer.
-- Either ends at `expires_at`: a claim whose process died can be taken over then, an answer is forgotten.

CREATE TABLE idempotency_keys (
    tenant       text NOT NULL,
    key          text NOT NULL,
    claim        uuid NOT NULL,            -- of the request that has it: nobody else completes or releases it
    job_id       uuid,                     -- null while the request is under way
    fingerprint  text,                     -- sha256 of the audio and the options that made the job
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, key),
    CHECK ((job_id IS NULL) = (fingerprint IS NULL))
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (expires_at);
