-- Reads all rows, and blocks no statement.

ALTER TABLE jobs VALIDATE CONSTRAINT in_slice;
ALTER TABLE tasks VALIDATE CONSTRAINT in_slice;
ALTER TABLE webhook_events VALIDATE CONSTRAINT in_slice;
ALTER TABLE webhook_attempts VALIDATE CONSTRAINT in_slice;
