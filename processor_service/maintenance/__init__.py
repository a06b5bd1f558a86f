"""Maintenance: keeps Postgres, Redis and the blob store consistent. `loop` runs each job under an advisory lock."""
