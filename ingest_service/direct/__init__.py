"""Uploads that pass this service by: where in the bucket a client puts its audio, and whose each is."""
