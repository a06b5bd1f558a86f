"""Hears of keys that change, in whichever process: LISTEN on a connection of its own, looked after once a second.

While it is broken, nothing is remembered. Through a pooler that hands a connection to another client after each
transaction notifications may get lost: then a revoked key works for as long as keys are remembered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ingest_service.access.key_ring import KeyRing
from ingest_service.database import CONNECT_TIMEOUT_S
from shared.dead_clients import NOTICE_DEAD_CLIENTS
from shared.logs import Log
from shared.run_beside import run_beside

log = Log(__name__)

CHANNEL = "headrace_api_keys"  # as the migration that makes the table notifies it
BEAT_S = 1.0
BEAT_TIMEOUT_S = 2.0  # a frozen server, or a dead network, is found out by then
AGAIN_AFTER_S = 0.5


@asynccontextmanager
async def hearing_changes(database_url: str, ring: KeyRing) -> AsyncIterator[None]:
    """Tell the ring of changes for the length of a block; connects in the background."""
    async with run_beside(_hear_forever(database_url, ring)):
        yield


async def _hear_forever(database_url: str, ring: KeyRing) -> None:
    is_deaf = False
    while True:
        try:
            async with _listening(database_url, ring) as connection:
                is_deaf = False
                await _beat(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody must go on listening
            if not is_deaf:  # once an outage
                log.warning("key_changes_not_heard", error=type(error).__name__)
            is_deaf = True
        await asyncio.sleep(AGAIN_AFTER_S)


@asynccontextmanager
async def _listening(database_url: str, ring: KeyRing) -> AsyncIterator[Any]:
    def heard(_: Any, __: int, ___: str, payload: object) -> None:
        ring.forget(str(payload))

    def broke(_: Any) -> None:
        ring.stop_remembering()

    connection = await asyncpg.connect(
        database_url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=BEAT_TIMEOUT_S,
        server_settings={"application_name": "headrace-ingest-keys", **NOTICE_DEAD_CLIENTS},
    )
    try:
        connection.add_termination_listener(broke)
        await connection.add_listener(CHANNEL, heard)
        ring.begin_to_remember()
        yield connection
    finally:
        ring.stop_remembering()
        connection.terminate()


async def _beat(connection: Any) -> None:
    """Until it breaks."""
    while True:
        await asyncio.sleep(BEAT_S)
        await connection.execute("SELECT 1")
