-- What the work of a job shows beside its states: engines, the stages of a short file, and where its peaks are.

ALTER TABLE tasks
    ADD COLUMN engine text,               -- that transcribed the chunk, or the short file; null: none, or not recorded
    ADD COLUMN model  text;
ALTER TABLE jobs
    ADD COLUMN transcribing_since timestamptz,  -- a short file: when its only task had decoded it
    ADD COLUMN peaks_generation   integer;      -- that decoded last, and stored the peaks; null: there are none
