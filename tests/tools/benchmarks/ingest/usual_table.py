"""The table of the usual stack."""

POOL_SIZE = 20  # per process, as in Headrace
QUEUE = "celery"  # the Redis list

CREATE = """
CREATE TABLE IF NOT EXISTS usual_uploads (
    id            uuid PRIMARY KEY,
    filename      text,
    content_type  text,
    path          text NOT NULL,
    bytes         bigint,
    status        text NOT NULL DEFAULT 'queued',
    created_at    timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = "INSERT INTO usual_uploads (id, filename, content_type, path, bytes) VALUES (%s, %s, %s, %s, %s)"
