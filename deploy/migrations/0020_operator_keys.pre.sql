-- A key may have the operator's scope alone: it acts on the dead letters of all tenants and is no tenant's admin.

ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_check
    CHECK ((operates OR scopes <> '{}') AND scopes <@ ARRAY['submit', 'read', 'admin']) NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_scopes_check;
