"""The fixtures of providers."""

from tests.support.providers.fixtures import *  # noqa: F403 - pytest finds fixtures by name here
