"""The stages of a job: each is a coroutine that takes a leased task and returns an outcome. No SQL here."""
