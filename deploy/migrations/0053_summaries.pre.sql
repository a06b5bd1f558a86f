-- Tasks and jobs may summarize. Rows of before satisfied narrower checks, so these need no validation.

ALTER TABLE jobs DROP CONSTRAINT jobs_stage_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_stage_check
    CHECK (stage IN ('prepare', 'transcribe', 'finish', 'summarize')) NOT VALID;
ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_kind_check
    CHECK (kind IN ('prepare', 'chunk', 'finish', 'summarize', 'deliver')) NOT VALID;
