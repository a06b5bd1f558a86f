-- Named queues. A constant default changes no row of the tables. A service of an older version leaves them out.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS queue text NOT NULL DEFAULT 'default';

-- The queue of a tenant's jobs that name none; NULL: by the settings.
ALTER TABLE tenant_quotas ADD COLUMN IF NOT EXISTS queue text;
