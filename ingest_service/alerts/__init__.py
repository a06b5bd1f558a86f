"""Alerts: the rules of `deploy/prometheus/rules.yaml`, evaluated over the samples that the services keep in Redis."""
