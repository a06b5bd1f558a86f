"""Processes, sockets, signals, connections and readiness of the ingest."""
