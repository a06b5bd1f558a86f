"""Fixtures of all tests: the real servers, embedded; see tests/servers.py."""

pytest_plugins = ["tests.servers"]
