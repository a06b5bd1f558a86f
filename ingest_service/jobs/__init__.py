"""What clients do with a job: read, follow, cancel, redrive and erase it."""
