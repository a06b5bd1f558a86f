"""The fixtures of deployables."""

from tests.support.deployables.fixtures import *  # noqa: F403 - pytest finds fixtures by name here
