"""Turn what a client hands in into a job: receive, store, commit, notify the processors."""
