"""Writes the results of completed jobs to the buckets and presigned URLs of `results_to`."""
