-- New blobs get keys that spread.

CREATE OR REPLACE FUNCTION blob_keys_spread() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
