"""Start the stack in order, from PostgreSQL to the processors. Stop it in reverse order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from deploy.local import services
from deploy.local.data_dir import DataDir, stored_encryption_key, stored_password, stored_webhook_secret
from deploy.local.ports import require_free
from deploy.local.postgres import Postgres, create_service_role
from deploy.local.processes import Processes
from deploy.local.servers import Server, wait_until_ready
from deploy.local.settings import Choices, address, settings_of
from deploy.local.supervised import Program, Supervised
from deploy.local.terminal import LocalStackError, say, warn
from deploy.local.valkey import Valkey
from deploy.migrate import MigrationError, migrate

PROCESSOR_GRACE_S = 30.0  # longer than the processor's own grace period


@asynccontextmanager
async def running_stack(choices: Choices) -> AsyncIterator[dict[str, str]]:
    """Run the stack during a block. Yield the effective settings. Raise LocalStackError."""
    for one in choices.unknown:
        warn(str(one))
    data_dir = DataDir(choices.data_dir)
    data_dir.open()
    async with AsyncExitStack() as exits:
        exits.enter_context(data_dir.locked())
        data_dir.clear_run()
        exits.callback(data_dir.clear_run)
        stack = Stack(choices, data_dir, exits)
        require_free(*address(stack.settings))
        await stack.start()
        yield stack.settings


class Stack:
    """The steps of a start. Each pushes its own cleanup, so the stack stops in reverse order."""

    def __init__(self, choices: Choices, data_dir: DataDir, exits: AsyncExitStack) -> None:
        self._choices = choices
        self._data_dir = data_dir
        self._exits = exits
        self._processes = Processes()
        secret = stored_webhook_secret(data_dir.secrets / "webhook")
        key = stored_encryption_key(data_dir.secrets / "encryption")
        self.settings = settings_of(choices, data_dir.blobs, secret, key)
        self._service_overrides: dict[str, str] = {}

    async def start(self) -> None:
        """Start everything. Return when the ingest service answers."""
        self._exits.push_async_callback(self._processes.kill_orphans)
        await self._start_database()
        await self._start_redis()
        self._data_dir.write_stack_env(self.settings)
        await self._migrate()
        if self._choices.processors:
            await services.prepare_model(self._processes, self.settings)
        await self._start_ingest()
        await self._start_processors()

    async def _start_database(self) -> None:
        if "HEADRACE_DATABASE_URL" not in self.settings:
            password_file = self._data_dir.secrets / "postgres"
            stored_password(password_file)
            server = Postgres(self._data_dir.postgres, password_file, self._processes)
            await self._start_server(server)
            self.settings["HEADRACE_DATABASE_URL"] = server.url

    async def _start_redis(self) -> None:
        if "HEADRACE_REDIS_URL" not in self.settings:
            password_file = self._data_dir.secrets / "valkey"
            stored_password(password_file)
            server = Valkey(self._data_dir.valkey, password_file, self._processes)
            await self._start_server(server)
            self.settings["HEADRACE_REDIS_URL"] = server.url

    async def _start_server(self, server: Server) -> None:
        say(f"starting {server.name}")
        await server.prepare()
        pid_file = self._data_dir.pid_file(server.name)
        ready = partial(wait_until_ready, server)
        await self._supervise(Program(server.name, server.start, pid_file, ready, server.stop_signal))

    async def _migrate(self) -> None:
        try:
            for name in await migrate(self.settings["HEADRACE_DATABASE_URL"]):
                say(f"applied migration {name}")
        except MigrationError as error:
            raise LocalStackError(str(error)) from error
        if "HEADRACE_DATABASE_URL" not in self._choices.overrides:
            password = stored_password(self._data_dir.secrets / "postgres-service")
            url = await create_service_role(self.settings["HEADRACE_DATABASE_URL"], password)
            self._service_overrides = {"HEADRACE_DATABASE_URL": url}

    @property
    def _service_settings(self) -> dict[str, str]:
        return self.settings | self._service_overrides

    async def _start_ingest(self) -> None:
        start = partial(services.start_service, self._processes, "ingest_service", self._service_settings)
        ready = partial(services.wait_until_live, self.settings)
        await self._supervise(Program("ingest", start, self._data_dir.pid_file("ingest"), ready))

    async def _start_processors(self) -> None:
        start = partial(services.start_service, self._processes, "processor_service", self._service_settings)
        names = [f"processor-{number}" for number in range(self._choices.processors)]
        programs = [Program(name, start, self._data_dir.pid_file(name), grace_s=PROCESSOR_GRACE_S) for name in names]
        supervised = [Supervised(program, self._processes) for program in programs]
        self._exits.push_async_callback(_stop_all, supervised)
        for processor in supervised:
            await processor.start()

    async def _supervise(self, program: Program) -> None:
        supervised = Supervised(program, self._processes)
        self._exits.push_async_callback(supervised.stop)
        await supervised.start()


async def _stop_all(supervised: list[Supervised]) -> None:
    await asyncio.gather(*(one.stop() for one in supervised))
