"""Metrics, traces and outage logs of the ingest."""
