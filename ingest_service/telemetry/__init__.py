"""Counts what happens in every process, and shows the sums."""
