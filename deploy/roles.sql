-- The database's roles: one that owns the schema, one for each service, and one by which KEDA reads the backlog (it has
-- its rights by kubernetes/scaler.sql). Run once, by a superuser, in the database, before the first migration. They have
-- no passwords yet, so logins fail until they are set.

CREATE ROLE headrace_migrate LOGIN;
CREATE ROLE headrace_ingest LOGIN;
CREATE ROLE headrace_processor LOGIN;
CREATE ROLE headrace_scaler LOGIN CONNECTION LIMIT 5;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO headrace_migrate;
GRANT USAGE ON SCHEMA public TO headrace_ingest, headrace_processor;

-- Of what the migrations will make: rows, never the tables themselves.
ALTER DEFAULT PRIVILEGES FOR ROLE headrace_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO headrace_ingest, headrace_processor;
ALTER DEFAULT PRIVILEGES FOR ROLE headrace_migrate IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO headrace_ingest, headrace_processor;
