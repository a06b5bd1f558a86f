-- The speakers of a finished job can be found again without transcribing again.

ALTER TABLE jobs
    ADD COLUMN text_generation    integer,     -- the generation that transcribed, if this one only finds speakers
    ADD COLUMN results_generation integer;     -- whose transcript is served until this one is COMPLETED; null: none
