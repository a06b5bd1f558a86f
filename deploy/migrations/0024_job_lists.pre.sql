-- What lists of jobs filter by, written when a job ends. Jobs that ended before have neither.

ALTER TABLE jobs
    ADD COLUMN speakers      integer,  -- how many the transcript names; null: none
    ADD COLUMN warning_codes text[];   -- the codes in `warnings`, each once
