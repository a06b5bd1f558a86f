"""Resumable uploads by tus 1.0.0: parts into the blob store, progress into Postgres, at the end a job like any other.

Any ingest process may take the next part: nothing of an upload lives in a process. https://tus.io/protocols/resumable-upload
"""
