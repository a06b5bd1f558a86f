"""The ingest as processes: sockets, signals, connections, health."""
