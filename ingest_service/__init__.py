"""The ingest: it validates, stores, records and acknowledges uploads, and serves jobs and results to clients.

It computes nothing and never imports the processor. The two services share Postgres, Redis and the blob store only.
"""
