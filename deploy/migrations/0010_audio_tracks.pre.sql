-- The audio tracks of a source, as the API lists them. Null until it is prepared, and in jobs of older versions.

ALTER TABLE jobs ADD COLUMN tracks jsonb;
