"""Callers, API keys and scopes."""
