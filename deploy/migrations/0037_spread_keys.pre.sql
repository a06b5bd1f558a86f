-- Whether new blobs may have keys that spread: not before the phase `post`, as the previous version cannot read them.

CREATE FUNCTION blob_keys_spread() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT false';
