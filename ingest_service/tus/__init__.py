"""Resumable uploads by tus 1.0.0 (https://tus.io/protocols/resumable-upload).

Parts are stored in the blob store, progress in Postgres. A complete upload becomes a job. No state lives in a process,
so any ingest process may receive the next part.
"""
