"""Hears of keys that change, in whichever process: LISTEN on a connection of its own, looked after once a second.

While it is broken, nothing is remembered; nor where a pooler hands a connection to another client after each
transaction and no way past it is set: notifications would get lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ingest_service.auth.key_cache import KeyRing
from ingest_service.database import CONNECT_TIMEOUT_S
from ingest_service.settings import IngestSettings
from shared.connections.postgres import Pooler, begin_session, keeps_session
from shared.run_beside import run_beside
from shared.telemetry.logs import Log

log = Log(__name__)

CHANNEL = "headrace_api_keys"  # as the migration that makes the table notifies it
BEAT_S = 1.0
BEAT_TIMEOUT_S = 2.0  # a frozen server, or a dead network, is found out by then
AGAIN_AFTER_S = 0.5


@asynccontextmanager
async def hearing_changes(settings: IngestSettings, ring: KeyRing) -> AsyncIterator[None]:
    """Tell the ring of changes for the length of a block; connects in the background."""
    direct = settings.database_direct_url
    url = direct or settings.database_url
    pooler: Pooler = "none" if direct else settings.database_pooler
    if not keeps_session(pooler):
        log.warning("key_changes_not_heard", error="HEADRACE_DATABASE_DIRECT_URL is not set: each request asks")
        yield
        return
    async with run_beside(_hear_forever(url, ring, pooler)):
        yield


async def _hear_forever(database_url: str, ring: KeyRing, pooler: Pooler) -> None:
    is_deaf = False
    while True:
        try:
            async with _listening(database_url, ring, pooler) as connection:
                is_deaf = False
                await _beat(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody must go on listening
            if not is_deaf:  # once an outage
                log.warning("key_changes_not_heard", error=f"{type(error).__name__}: {error}")
            is_deaf = True
        await asyncio.sleep(AGAIN_AFTER_S)


@asynccontextmanager
async def _listening(database_url: str, ring: KeyRing, pooler: Pooler) -> AsyncIterator[Any]:
    def heard(_: Any, __: int, ___: str, payload: object) -> None:
        ring.forget(str(payload))

    def broke(_: Any) -> None:
        ring.stop_remembering()

    connection = await asyncpg.connect(
        database_url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=BEAT_TIMEOUT_S,
        server_settings={"application_name": "headrace-ingest-keys"},
    )
    try:
        if pooler == "none":
            await begin_session(connection)
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
