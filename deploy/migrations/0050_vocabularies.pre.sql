-- The key terms and replacements of each tenant. A change adds a row, so that all tasks of a job find the vocabulary of
-- the job's submission. Deleting a vocabulary deletes all rows of the tenant.

CREATE TABLE vocabularies (
    tenant      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    content     text NOT NULL, -- JSON: keyterms, replacements
    PRIMARY KEY (tenant, created_at)
);
CREATE POLICY of_tenant ON vocabularies USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE vocabularies ENABLE ROW LEVEL SECURITY;
ALTER TABLE vocabularies FORCE ROW LEVEL SECURITY;

CREATE FUNCTION forget_vocabulary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vocabularies WHERE tenant = OLD.name;
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_forget_vocabulary AFTER DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION forget_vocabulary();

-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE UPDATE ON vocabularies FROM headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON vocabularies FROM headrace_processor;
        GRANT SELECT ON vocabularies TO headrace_processor;
    END IF;
END
$$;
