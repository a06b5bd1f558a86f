"""The HTTP server, which tells the application that it is about to stop before it waits for open connections.

The lifespan's own end comes too late for that: streams of events would hold up the stop until they are cut.
"""

import asyncio
import socket

import uvicorn


class Server(uvicorn.Server):
    """Sets `stopping` first of all when it stops."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)
