"""Counts what happens in a processor, and shows it."""
