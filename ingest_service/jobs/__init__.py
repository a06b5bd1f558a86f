"""What clients ask of a job: to see, follow, cancel, redrive or erase it."""
