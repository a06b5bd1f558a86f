"""`headrace watch`: scan, wait until files are complete, and work on a bounded number of them at once."""

import argparse
import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from deploy.command.api import Api
from deploy.command.report import Outcome, describe, write_json, write_line
from deploy.command.watcher.arguments import aim_of
from deploy.command.watcher.journal import Journal
from deploy.command.watcher.one_file import Worker
from deploy.command.watcher.places import Entry, Place, PlaceError, open_place
from deploy.command.watcher.settling import Settling

SCAN_FOLDER_EVERY_S = 5.0
SCAN_BUCKET_EVERY_S = 60.0
PAUSE_S = 15.0  # after a folder or bucket failed


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """How to watch. `alive`: a file whose time is set at each scan."""

    every_s: float
    settle_s: float
    jobs: int
    once: bool
    alive: Path | None = None


async def watch_place(api: Api, chosen: argparse.Namespace) -> int:
    """Watch what the arguments say, until cancelled, or with `--once` until all is done. Return the exit status."""
    source = open_place(chosen.source, excluded=chosen.move_done)
    target = source if chosen.to is None else open_place(chosen.to)
    worker = Worker(api, source, target, Journal(target, chosen.name or source.name), aim_of(chosen))
    every_s = chosen.every or (SCAN_BUCKET_EVERY_S if source.is_atomic else SCAN_FOLDER_EVERY_S)
    rhythm = Rhythm(
        every_s=every_s,
        settle_s=0.0 if source.is_atomic else chosen.settle,
        jobs=chosen.jobs,
        once=chosen.once,
        alive=None if chosen.alive is None else Path(chosen.alive),
    )
    watcher = Watcher(source, worker, rhythm, write_json if chosen.json else _write_outcome)
    await watcher.run()
    return 1 if watcher.failed else 0


def _write_outcome(outcome: Outcome) -> None:
    write_line(describe(outcome))


class Watcher:
    """Scans a place and gives its files to a worker."""

    def __init__(self, source: Place, worker: Worker, rhythm: Rhythm, show: Callable[[Outcome], None]) -> None:
        self.failed = 0
        self._source = source
        self._worker = worker
        self._rhythm = rhythm
        self._show = show
        self._settling = Settling(rhythm.settle_s)
        self._busy: set[str] = set()
        self._queue: asyncio.Queue[Entry] = asyncio.Queue()
        self._salt = secrets.token_bytes(8)
        self._scanned = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled, or with `once` until all is done. Jobs go on when this is cancelled."""
        tasks = [asyncio.create_task(self._work()) for _ in range(self._rhythm.jobs)]
        tasks.append(asyncio.create_task(self._scan_until_done()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _scan_until_done(self) -> None:
        is_noted = False
        while True:
            if self._rhythm.alive is not None:
                with suppress(OSError):
                    await asyncio.to_thread(self._rhythm.alive.touch)
            try:
                found = await self._source.scan()
                is_noted = False
            except PlaceError as error:
                if self._rhythm.once:
                    raise
                if not is_noted:
                    write_line(f"{error} Trying again.")
                is_noted = True
            else:
                self._take(self._settling.ready(found, time.monotonic(), self._busy))
                if self._rhythm.once and not self._busy and self._settling.is_idle:
                    return
            await asyncio.sleep(self._rhythm.every_s)

    def _take(self, entries: list[Entry]) -> None:
        """Queue files, in another order in each process: two watchers of a folder seldom upload the same one."""
        for entry in sorted(entries, key=self._order):
            self._busy.add(entry.path)
            self._queue.put_nowait(entry)

    def _order(self, entry: Entry) -> bytes:
        return hashlib.sha256(self._salt + os.fsencode(entry.path)).digest()

    async def _work(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                outcome = await self._worker.process(entry)
                self._settling.end(entry)
                if outcome is not None:
                    self.failed += outcome.status == "failed"
                    self._show(outcome)
            except PlaceError as error:
                if self._rhythm.once:
                    raise
                write_line(f"{error} Trying again.")
                await asyncio.sleep(PAUSE_S)
            self._busy.discard(entry.path)
