"""Upkeep: what keeps the record and the bell together. Each a `run_once`, run by `loop` under an advisory lock."""
