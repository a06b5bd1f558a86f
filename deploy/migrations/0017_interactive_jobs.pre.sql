-- A job that a client waits for: its class in the queue, and the hash by which an equal request finds it.

ALTER TABLE jobs
    ADD COLUMN interactive boolean NOT NULL DEFAULT false,
    ADD COLUMN attach_key  text,         -- of audio and options; null: no request attaches to the job
    ADD COLUMN attached_at timestamptz;  -- when the last request attached; null: none
