"""Logs, metrics in Prometheus' text format, and traces of both services."""
