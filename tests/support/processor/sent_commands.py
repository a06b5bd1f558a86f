"""The commands that clients send to Redis, seen by MONITOR. Those of scripts are not among them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

OURS = ("MONITOR", "PING", "HELLO", "CLIENT", "AUTH", "SELECT", "INFO", "SCRIPT")  # of connections and of tests


class SentCommands:
    """The names of the commands, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def count(self, name: str) -> int:
        return self.names.count(name)


@contextlib.asynccontextmanager
async def sent_commands(redis: Redis) -> AsyncIterator[SentCommands]:
    """Collect the commands that arrive during the block."""
    sent = SentCommands()
    async with redis.monitor() as monitor:
        watching = asyncio.create_task(_collect(monitor, sent))
        try:
            yield sent
        finally:
            await redis.echo(b"last of the sent commands")
            await watching


async def _collect(monitor: Any, sent: SentCommands) -> None:
    async for command in monitor.listen():
        if _take(sent, command):
            return


def _take(sent: SentCommands, command: dict[str, Any]) -> bool:
    """Add a command. Return whether it is the mark of the end."""
    name = str(command["command"]).partition(" ")[0].upper()
    if name == "ECHO":
        return True
    if command["client_type"] != "lua" and name not in OURS:
        sent.names.append(name)
    return False
