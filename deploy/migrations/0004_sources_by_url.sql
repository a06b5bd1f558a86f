-- Jobs whose client named a URL: what is not known of a source before it was fetched is null.

ALTER TABLE jobs
    ADD COLUMN source_url text,            -- where it is fetched from; null: it was uploaded, or the job was erased
    ALTER COLUMN container DROP NOT NULL,
    ALTER COLUMN source_bytes DROP NOT NULL,
    ALTER COLUMN source_sha256 DROP NOT NULL;
