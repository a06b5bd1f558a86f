"""The stages of a job, each a coroutine from a task under lease to an outcome. Plain steps; no SQL."""
