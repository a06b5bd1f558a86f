"""The fixtures of storage."""

from tests.support.storage.fixtures import *  # noqa: F403 - pytest finds fixtures by name here
