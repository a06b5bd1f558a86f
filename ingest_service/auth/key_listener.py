"""Listens for changes of API keys and sessions by any process: LISTEN on its own connection, with a heartbeat.

While the listener is disconnected, no key is cached. The same holds behind a pooler that shares connections by
transaction if no direct URL is set: notifications would be lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ingest_service.auth.key_cache import KeyCache
from ingest_service.database import CONNECT_TIMEOUT_S
from ingest_service.settings import IngestSettings
from shared.connections import primary
from shared.connections.postgres import Pooler, begin_session, keeps_session
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

CHANNEL = "headrace_api_keys"  # the triggers of `api_keys` and `sessions` notify it
HEARTBEAT_S = 1.0
HEARTBEAT_TIMEOUT_S = 2.0  # detects a frozen server or a dead network
RECONNECT_AFTER_S = 0.5


@asynccontextmanager
async def listening_for_key_changes(settings: IngestSettings, keys: KeyCache) -> AsyncIterator[None]:
    """Invalidate changed keys during the block. Connects in the background."""
    direct = settings.database_direct_url
    url = (direct or settings.database_url).reveal()
    pooler: Pooler = "none" if direct else settings.database_pooler
    if not keeps_session(pooler):
        log.warning("api_keys_not_cached", reason="HEADRACE_DATABASE_DIRECT_URL is not set")
        yield
        return
    async with run_beside(_listen_forever(url, keys, pooler)):
        yield


async def _listen_forever(database_url: str, keys: KeyCache, pooler: Pooler) -> None:
    outages = Outages(log, "api_key_listener_disconnected", "api_key_listener_reconnected")
    while True:
        try:
            async with _listening(database_url, keys, pooler) as connection:
                outages.worked()
                await _send_heartbeats(connection)
        except Exception as error:  # noqa: BLE001 - the listener must reconnect after any error
            outages.failed(error)
        await asyncio.sleep(RECONNECT_AFTER_S)


@asynccontextmanager
async def _listening(database_url: str, keys: KeyCache, pooler: Pooler) -> AsyncIterator[Any]:
    def on_change(_: Any, __: int, ___: str, payload: object) -> None:
        keys.invalidate(str(payload))

    def on_disconnect(_: Any) -> None:
        keys.stop_caching()

    connection = await primary.connect(
        database_url,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=HEARTBEAT_TIMEOUT_S,
        server_settings={"application_name": "headrace-ingest-keys"},
    )
    try:
        if pooler == "none":
            await begin_session(connection)
        connection.add_termination_listener(on_disconnect)
        await connection.add_listener(CHANNEL, on_change)
        keys.start_caching()
        yield connection
    finally:
        keys.stop_caching()
        connection.terminate()


async def _send_heartbeats(connection: Any) -> None:
    """Run until the connection fails."""
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await connection.execute("SELECT 1")
