"""A running pair that requires keys, and what a test does with it beside the browser."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.support.acceptance.client import Client
from tests.support.ingest.api_keys import bearer
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import ROOT, Launched

SETTINGS = {
    "PROCESSORS": "1",
    "HEADRACE_AUTH": "required",
    "HEADRACE_SLOTS": "2",
    "HEADRACE_RETRY_WAITS_S": "0.1",
}
THREE_SECONDS = wav(96_000)
EVERYTHING = "submit,read,admin,operate"


class Service:
    """The pair, and keys of its tenants."""

    def __init__(self, launched: Launched, engine: Path = Path()) -> None:
        self.launched = launched
        self.engine = engine  # the folder of the scripted engine
        self._keys: dict[tuple[str, str], str] = {}

    @property
    def url(self) -> str:
        return self.launched.url

    async def key(self, tenant: str, scopes: str = EVERYTHING) -> str:
        """Return a key of a tenant, the same each time."""
        wanted = (tenant, scopes)
        if wanted not in self._keys:
            self._keys[wanted] = await self.new_key(tenant, scopes)
        return self._keys[wanted]

    async def new_key(self, tenant: str, scopes: str = EVERYTHING) -> str:
        """Create a key, as the operator does."""
        purpose = scopes.replace(",", ".")  # a purpose has two keys at most
        wanted = [f"--tenant={tenant}", f"--scopes={scopes}", f"--purpose={purpose}"]
        command = [sys.executable, "-m", "ingest_service.auth", "create", *wanted]
        environ = {**os.environ, **self.launched.settings()}
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE)
        key, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return key.decode().strip()

    @asynccontextmanager
    async def client(self, tenant: str) -> AsyncIterator[Client]:
        """A client of the API with a tenant's key."""
        headers = bearer(await self.key(tenant))
        async with aiohttp.ClientSession(self.url, headers=headers) as http:
            yield Client(http)

    async def submit(self, tenant: str, filename: str, audio: bytes = THREE_SECONDS, **options: object) -> str:
        """Submit audio under a file name. Return the job's id."""
        form = aiohttp.FormData(quote_fields=False)  # names as browsers send them
        for name, value in options.items():
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
        form.add_field("audio_file", audio, filename=filename)
        async with self.client(tenant) as client, client.http.post("/v1/jobs", data=form) as answer:
            assert answer.status == 202, await answer.text()
            return str((await answer.json())["job_id"])

    async def ended(self, tenant: str, *job_ids: str) -> list[str]:
        """Wait until jobs are over. Return their states."""
        async with self.client(tenant) as client:
            return [str((await client.ended(job_id))["status"]) for job_id in job_ids]

    async def finished_job(self, tenant: str, filename: str, audio: bytes = THREE_SECONDS, **options: object) -> str:
        """Submit audio and wait until its job is over. Return the job's id."""
        job_id = await self.submit(tenant, filename, audio, **options)
        await self.ended(tenant, job_id)
        return job_id
