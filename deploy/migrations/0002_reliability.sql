-- What redrive, erasing and the webhook log need.

ALTER TABLE jobs
    ADD COLUMN chunk_generation integer,       -- the generation whose prepare cut the chunks: redrive keeps them
    ADD COLUMN erased_at        timestamptz,   -- content erased; the row stays as a tombstone
    ADD COLUMN blobs_erased_at  timestamptz,   -- its blobs are gone, with nobody left who could write one
    ADD COLUMN audio_erased_at  timestamptz;   -- only the audio was erased, by age
CREATE INDEX jobs_to_sweep ON jobs (erased_at) WHERE erased_at IS NOT NULL AND blobs_erased_at IS NULL;
CREATE INDEX jobs_by_age ON jobs (completed_at) WHERE erased_at IS NULL;

ALTER TABLE tasks
    ADD COLUMN dismissed_at     timestamptz;   -- a dead task that was redriven or discarded: no dead letter any more
CREATE INDEX tasks_dead ON tasks (finished_at, id) WHERE state = 'dead' AND dismissed_at IS NULL;

-- What is to be told of a job's end, written in the transaction that ends it. One a job, generation and type.
CREATE TABLE webhook_events (
    id           text PRIMARY KEY,             -- the `webhook-id` of every attempt
    job_id       uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    generation   integer NOT NULL,
    type         text NOT NULL,                -- shared.webhook_events.EventType
    body         text NOT NULL,                -- the bytes that are signed and sent, the same in every attempt
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_id, generation, type)
);

-- Every attempt to deliver one; begun before the request is sent, concluded with the task's outcome.
CREATE TABLE webhook_attempts (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id         text NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
    task_id          uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    attempted_at     timestamptz NOT NULL DEFAULT now(),
    duration_ms      integer,                  -- null: under way, or the worker was lost
    status           integer,                  -- of the answer; null: there was none
    error            text,                     -- why there was none
    answer           text,                     -- its first bytes
    next_attempt_at  timestamptz               -- null: there is none
);
CREATE INDEX webhook_attempts_of_event ON webhook_attempts (event_id, id);
CREATE INDEX webhook_attempts_by_age ON webhook_attempts (attempted_at);
