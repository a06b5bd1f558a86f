"""Turn one version of a watched file into one job, and put its outputs where they belong.

Each step is noted before the next begins, so that after a kill at any moment the next watcher continues: `begun` (the
place of the outputs can be written), `submitted` (with the job's id), `written`, then `done` or `error`. Between the
service's 202 and `submitted`, the idempotency key finds the job.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from deploy.command.api import Api
from deploy.command.errors import ApiError, CommandError, SourceError
from deploy.command.follow import wait_for_end
from deploy.command.report import Outcome
from deploy.command.retries import FOREVER
from deploy.command.sources import printable
from deploy.command.submit import GONE
from deploy.command.watcher.journal import FINAL, Journal, Record, with_ending
from deploy.command.watcher.places import Entry, Place
from deploy.command.watcher.upload import idempotency_key, send_form
from shared.schemas.api import JobView, ProblemInJob
from shared.schemas.states import JobStatus

MOST_GENERATIONS = 3
# Of the key, the address or the options: no file is to blame, and all would fail.
WRONG_SET_UP = frozenset({401, 403, 404, 405, 407, 421})
WRONG_OPTIONS = frozenset({"invalid_option", "model_unavailable", "invalid_form", "invalid_parameter"})
CANCELLED = ProblemInJob(code="job_cancelled", message="Another client cancelled the job.")
ERASED = ProblemInJob(code="job_erased", message="The job was erased before its results were fetched.")


class SetUpError(CommandError):
    """The service refuses what the command was started with."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of each file. `options`: of the job, as text. `done_folder`: where processed files are moved."""

    formats: tuple[str, ...]
    options: Mapping[str, str]
    done_folder: str | None = None
    erase: bool = False


class Worker:
    """Works on one file at a time; several run at once."""

    def __init__(self, api: Api, source: Place, target: Place, journal: Journal, aim: Aim) -> None:
        self._api = api
        self._source = source
        self._target = target
        self._journal = journal
        self._aim = aim

    async def process(self, entry: Entry) -> Outcome | None:
        """Do what is missing. None: the file is gone or changed, or nothing is to be done.

        Raise PlaceError to be tried again later, SetUpError if no file can succeed.
        """
        record = await self._journal.read(entry)
        if not await self._is_wanted(entry, record):
            return None
        base = await self._journal.claim_base(entry.path, self._aim.formats)
        try:
            return await self._continued(entry, base, record or await self._journal.write(entry, "begun"))
        except SourceError as error:  # not noted: it is tried again when its permissions change
            is_current = await self._is_current(entry)
            return await self._refused(entry, base, _problem(error)) if is_current else None
        except ApiError as error:
            if error.status in WRONG_SET_UP or error.code in WRONG_OPTIONS:
                raise SetUpError(str(error)) from error
            return await self._noted_error(entry, base, _problem(error))

    async def _is_wanted(self, entry: Entry, record: Record | None) -> bool:
        if record is not None and record.step in FINAL:
            return False
        if not await self._is_current(entry):
            return False
        return record is not None or not await self._is_done_by_others(entry)

    async def _continued(self, entry: Entry, base: str, record: Record) -> Outcome | None:
        job_id = record.job_id
        if record.step == "written":
            return await self._completed(entry, base, job_id)
        while True:
            job_id = job_id or await self._submitted(entry, record.generation)
            if job_id is None:
                return None
            job = await self._ended_job(job_id)
            if job is not None:
                return await self._with_results(entry, base, job, record)
            if record.generation >= MOST_GENERATIONS:
                return await self._noted_error(entry, base, ERASED, job_id)
            record, job_id = await self._journal.write(entry, "begun", generation=record.generation + 1), None

    async def _submitted(self, entry: Entry, generation: int) -> str | None:
        """Return the job of the file; None: the file is gone or changed."""
        job_id = await self._sent(entry, generation)
        if job_id is None or not await self._is_current(entry):
            if job_id is not None:  # it may have been read while it was written
                with suppress(CommandError):
                    await self._api.send_once("POST", f"/v1/jobs/{job_id}/cancel")
            return None
        await self._journal.write(entry, "submitted", job_id=job_id, generation=generation)
        return job_id

    async def _sent(self, entry: Entry, generation: int) -> str | None:
        """Send the file until the service accepts or refuses it. Before a repeat, look at what happened meanwhile."""
        key = idempotency_key(self._journal.file_id(entry.path), entry, self._aim.options, generation)
        began_s, attempt = time.monotonic(), 0
        while True:
            try:
                return await send_form(self._api, self._source, entry, self._aim.options, key)
            except CommandError as error:
                wait_s = FOREVER.wait_s(error, attempt, time.monotonic() - began_s)
                if wait_s is None:
                    raise
                self._api.note_outage(error, attempt)
                attempt += 1
                await asyncio.sleep(wait_s)
            record = await self._journal.read(entry)
            if record is not None and record.job_id is not None and record.generation >= generation:
                return record.job_id  # of another watcher
            if not await self._is_current(entry):
                return None

    async def _ended_job(self, job_id: str) -> JobView | None:
        """Return the job when it has ended; None if it was erased."""
        try:
            return await wait_for_end(self._api, job_id, lambda _: None)
        except ApiError as error:
            if error.status in GONE:
                return None
            raise

    async def _with_results(self, entry: Entry, base: str, job: JobView, record: Record) -> Outcome:
        if job.status is not JobStatus.COMPLETED:
            return await self._noted_error(entry, base, job.error or CANCELLED, job.job_id)
        try:
            contents = {each: await self._fetched(job.job_id, each) for each in self._aim.formats}
        except ApiError as error:
            if error.status not in GONE:
                raise
            return await self._noted_error(entry, base, ERASED, job.job_id)
        for each, content in contents.items():
            await self._target.put(with_ending(base, each), content)
        await self._target.remove(_error_path(base))
        await self._journal.write(entry, "written", job_id=job.job_id, generation=record.generation)
        warnings = tuple(dict.fromkeys(each.code for each in job.warnings))
        outcome = await self._completed(entry, base, job.job_id)
        return msgspec.structs.replace(outcome, duration_s=job.audio.duration, warnings=warnings)

    async def _fetched(self, job_id: str, output_format: str) -> bytes:
        answer = await self._api.send("GET", f"/v1/jobs/{job_id}/transcript", params={"format": output_format})
        return answer.content

    async def _completed(self, entry: Entry, base: str, job_id: str | None) -> Outcome:
        """Do what follows the outputs. Each step may be done again."""
        if self._aim.erase and job_id is not None:
            try:
                await self._api.send("DELETE", f"/v1/jobs/{job_id}")
            except ApiError as error:
                if error.status not in GONE:
                    raise
        if self._aim.done_folder is not None:
            await self._move(entry, self._aim.done_folder)
        await self._journal.write(entry, "done", job_id=job_id)
        outputs = tuple(printable(with_ending(base, each)) for each in self._aim.formats)
        return Outcome(source=printable(entry.path), status="done", job_id=job_id, outputs=outputs)

    async def _move(self, entry: Entry, folder: str) -> None:
        """Move the file, unless it changed. A file that is there already keeps its name."""
        if not await self._is_current(entry):
            return
        to = f"{folder}/{entry.path}"
        if await self._source.find(to) is not None:
            stem, dot, ending = to.rpartition(".")
            to = f"{stem}.{self._journal.file_id(entry.path + entry.version)[:8]}{dot}{ending}"
        await self._source.move(entry.path, to)

    async def _noted_error(self, entry: Entry, base: str, problem: ProblemInJob, job_id: str | None = None) -> Outcome:
        """Refuse the file until it changes."""
        outcome = await self._refused(entry, base, problem, job_id)
        await self._journal.write(entry, "error", job_id=job_id)
        return outcome

    async def _refused(self, entry: Entry, base: str, problem: ProblemInJob, job_id: str | None = None) -> Outcome:
        text = f"{problem.message}\n{problem.code}\n" + (f"Job {job_id}\n" if job_id else "")
        await self._target.put(_error_path(base), text.encode())
        return Outcome(source=printable(entry.path), status="failed", job_id=job_id, error=problem)

    async def _is_current(self, entry: Entry) -> bool:
        found = await self._source.find(entry.path)
        return found is not None and found.version == entry.version

    async def _is_done_by_others(self, entry: Entry) -> bool:
        """Whether the outputs exist, of a time before the folder was watched. Then note it."""
        if await self._journal.knows(entry.path) or not await self._journal.older_outputs(entry, self._aim.formats):
            return False
        await self._journal.adopt_base(entry.path)
        await self._journal.write(entry, "done")
        return True


def _problem(error: CommandError) -> ProblemInJob:
    return ProblemInJob(code=error.code, message=str(error))


def _error_path(base: str) -> str:
    return f"{base}.error.txt"
