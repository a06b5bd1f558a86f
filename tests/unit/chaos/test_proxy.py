"""The proxy breaks connections only at the configured command."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.ports import LOOPBACK
from tests.tools.chaos.proxy import SCRIPT, Mode, Proxy


class Server:
    """Answers and stores everything that it receives."""

    def __init__(self) -> None:
        self.received = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.received += data
            writer.write(b"+OK\r\n")
        writer.close()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, LOOPBACK, 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    listener.close()


@pytest_asyncio.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port).listening() as proxy:
        yield proxy


async def answer(proxy: Proxy, request: bytes) -> bytes:
    """Return the answer, or nothing if the connection breaks."""
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        writer.write(request)
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_passes(proxy: Proxy, server: Server) -> None:
    assert await answer(proxy, SCRIPT) == b"+OK\r\n"
    assert server.received == SCRIPT


async def test_refuses_until_it_passes_again(proxy: Proxy) -> None:
    proxy.set(Mode.REFUSE)
    assert await answer(proxy, b"PING") == b""
    proxy.set(Mode.PASS)
    assert await answer(proxy, b"PING") == b"+OK\r\n"


async def test_freezes_until_it_passes_again(proxy: Proxy, server: Server) -> None:
    proxy.set(Mode.FREEZE)
    asking = asyncio.create_task(answer(proxy, b"PING"))
    done, _ = await asyncio.wait([asking], timeout=0.2)
    assert not done
    assert server.received == b""
    proxy.set(Mode.PASS)
    assert await asking == b"+OK\r\n"


@pytest.mark.parametrize(("when", "received"), [("before", b"MULTI\r\n"), ("after", b"MULTI\r\n" + SCRIPT)])
async def test_cuts_at_a_command(proxy: Proxy, server: Server, when: str, received: bytes) -> None:
    cuts = proxy.cut_at(SCRIPT, 1, 1.0, _dice(when))
    assert await answer(proxy, b"PING") == b"+OK\r\n"
    server.received = b""
    assert await answer(proxy, b"MULTI\r\n" + SCRIPT) == b""
    assert server.received == received
    assert cuts.done == 1
    assert await answer(proxy, SCRIPT) == b"+OK\r\n"


def _dice(when: str) -> random.Random:
    """Return a generator whose second number selects a cut before or after execution, as requested."""
    for seed in range(100):
        dice = random.Random(seed)
        if (dice.random(), dice.random() < 0.5)[1] == (when == "before"):
            return random.Random(seed)
    raise AssertionError(when)
