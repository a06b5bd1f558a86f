"""Metrics and traces of the ingest."""
