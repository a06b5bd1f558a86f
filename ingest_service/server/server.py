"""The HTTP server, which tells the application that it is about to stop before it waits for open connections.

The lifespan's own end comes too late for that: streams of events would hold up the stop until they are cut.
"""

import asyncio
import gc
import socket

import uvicorn

YOUNG_OBJECTS = 10_000  # between two looks at them: a burst of uploads makes that many, and hardly any cycles


class Server(uvicorn.Server):
    """Sets `stopping` first of all when it stops."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_the_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def _spare_the_collector() -> None:
    """What is there once the application stands, stays: looking through it for garbage stops all uploads for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
