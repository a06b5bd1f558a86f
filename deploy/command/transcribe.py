"""Transcribe several sources at once: submit, wait, write the outputs. An interruption cancels the jobs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from deploy.command.api import Api, decode
from deploy.command.errors import ApiError, CommandError
from deploy.command.follow import wait_for_end
from deploy.command.outputs import STDOUT, is_up_to_date, require_writable, with_ending, write_output
from deploy.command.report import Outcome, Report, write_json
from deploy.command.retries import is_temporary
from deploy.command.sources import Source, Stat, printable
from deploy.command.state import State, Work
from deploy.command.submit import GONE, Submission, find_uploaded_job, submit
from deploy.command.tsv import render_tsv
from shared.schemas.api import JobView, ProblemInJob
from shared.schemas.options import JobOptions
from shared.schemas.states import JobStatus
from shared.schemas.transcript import Transcript

LAST_REQUESTS_S = 5.0  # after an interruption: to learn of a job, and to cancel it


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of each source. `cue_size`: the query that bounds subtitles. `erase`: delete the job afterwards.

    `words`: show each word at its time. `normalize`: write numbers with digits. `paragraphs`: of the JSON.
    """

    options: JobOptions
    formats: tuple[str, ...]
    output_dir: Path | None = None
    cue_size: dict[str, int] = msgspec.field(default_factory=dict)
    words: bool = False
    normalize: bool = False
    paragraphs: bool = False
    jobs_at_once: int = 8
    force: bool = False
    erase: bool = False
    as_json: bool = False


class Batch:
    """The work on sources of one run."""

    def __init__(self, api: Api, state: State, wanted: Wanted, report: Report) -> None:
        self._api = api
        self._state = state
        self._wanted = wanted
        self._report = report
        self._free = asyncio.Semaphore(wanted.jobs_at_once)

    async def run(self, sources: Sequence[Source], bases: dict[str, Path]) -> list[Outcome]:
        """Transcribe all. After a cancellation all jobs are cancelled before it is raised."""
        return await gathered([asyncio.create_task(self.transcribe(each, bases[each.id])) for each in sources])

    async def transcribe(self, source: Source, base: Path) -> Outcome:
        """Transcribe one source, unless its outputs are up to date. Errors of the source are in the outcome."""
        try:
            async with self._free:
                outcome = await self._outcome(source, base)
        except asyncio.CancelledError:
            show(self._report, self._wanted, source, Outcome(source=source.name, status="cancelled"))
            raise
        show(self._report, self._wanted, source, outcome)
        return outcome

    async def _outcome(self, source: Source, base: Path) -> Outcome:
        known = known_outcome(source, base, self._wanted, self._state)
        if known is not None:
            return known
        try:
            if self._wanted.output_dir != STDOUT:
                require_writable(base.parent)
            return await self._one(source, base)
        except CommandError as error:
            return failed(source, error)

    async def _one(self, source: Source, base: Path) -> Outcome:
        stat = source.stat()
        work = self._state.work(self._api.address, source, stat, msgspec.json.encode(self._wanted.options))
        try:
            job = await self._ended_job(work, Submission(source, stat, self._wanted.options))
        except CommandError as error:
            if not is_temporary(error):  # else the service may have the job, and the next run finds it
                self._state.forget(work)
            raise
        return await self._finish(source, base, stat, work, job)

    async def _finish(self, source: Source, base: Path, stat: Stat | None, work: Work, job: JobView) -> Outcome:
        """Write the outputs of a job that ended."""
        if job.status is JobStatus.COMPLETED:
            await self._write_outputs(job, base)
            if self._wanted.output_dir != STDOUT:
                self._state.save_output(base, source, stat)
        self._state.forget(work)
        if self._wanted.erase:
            with suppress(CommandError):
                await self._api.send("DELETE", f"/v1/jobs/{job.job_id}")
        return ended(source, base, self._wanted, job)

    async def _ended_job(self, work: Work, submission: Submission) -> JobView:
        """Return the job when it has ended; cancel it if this is cancelled."""
        try:
            job_id = work.job_id if await self._is_usable(work) else None
            if job_id is None:
                job_id = await self._submitted(work, submission)
            return await wait_for_end(self._api, job_id, lambda state: self._report.changed(submission.source, state))
        except asyncio.CancelledError:
            await self._cancel(work)
            raise

    async def _is_usable(self, work: Work) -> bool:
        """Whether an earlier run submitted the job, and it did not fail since. Otherwise the work begins again."""
        if work.job_id is None:
            return False
        try:
            job = await self._api.get(JobView, f"/v1/jobs/{work.job_id}")
            if job.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
                return True
        except ApiError as error:
            if error.status not in GONE:
                raise
        fresh = self._state.renewed(work)
        work.idempotency_key, work.upload, work.job_id = fresh.idempotency_key, None, None
        return False

    async def _submitted(self, work: Work, submission: Submission) -> str:
        """Submit. After a cancellation, wait shortly for the answer: the service may have made the job."""
        size = submission.stat.bytes if submission.stat else 0

        def sent(done_bytes: int) -> None:
            self._report.sent(submission.source, done_bytes, size)

        request = asyncio.create_task(submit(self._api, self._state, work, submission, sent))
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            await self._end_request(request, work)
            raise

    async def _end_request(self, request: asyncio.Task[str], work: Work) -> None:
        if work.upload is None:
            await asyncio.wait([request], timeout=LAST_REQUESTS_S)
        request.cancel()
        await asyncio.wait([request])
        if not request.cancelled():
            request.exception()
        if work.upload is not None and work.job_id is None:
            with suppress(CommandError, TimeoutError):
                work.job_id = await asyncio.wait_for(find_uploaded_job(self._api, work), LAST_REQUESTS_S)

    async def _cancel(self, work: Work) -> None:
        """Cancel the job. An incomplete upload stays: the next run continues it."""
        if work.job_id is None:
            return
        with suppress(CommandError, TimeoutError):
            await asyncio.wait_for(self._api.send("POST", f"/v1/jobs/{work.job_id}/cancel"), LAST_REQUESTS_S)
            self._state.forget(work)

    async def _write_outputs(self, job: JobView, base: Path) -> None:
        """Fetch all formats, then write them."""
        contents = {each: await self._fetch(job.job_id, each) for each in self._wanted.formats}
        for each, content in contents.items():
            if self._wanted.output_dir == STDOUT:
                print(content.decode(errors="replace"), end="", flush=True)
            else:
                write_output(with_ending(base, each), content)

    async def _fetch(self, job_id: str, output_format: str) -> bytes:
        path, query = f"/v1/jobs/{job_id}/transcript", query_of(output_format, self._wanted)
        try:
            return (await self._api.send("GET", path, params=query)).content
        except ApiError as error:
            if output_format != "tsv" or error.status != 400:
                raise
        answer = await self._api.send("GET", path)
        return render_tsv(decode(answer, Transcript))  # of a service that is older than the format


def query_of(output_format: str, wanted: Wanted) -> dict[str, str]:
    """Return the query for a format. Only what is wanted is in it: an older service may not know the rest."""
    query = {"format": output_format}
    if output_format in {"srt", "vtt", "lrc"}:
        query |= {name: str(value) for name, value in wanted.cue_size.items()}
        query |= {"words": "true"} if wanted.words else {}
    if output_format == "json" and wanted.paragraphs:
        query["paragraphs"] = "true"
    return query | ({"normalize": "true"} if wanted.normalize else {})


def known_outcome(source: Source, base: Path, wanted: Wanted, state: State) -> Outcome | None:
    """Return the outcome that needs no service: the outputs are up to date, or the file cannot be read."""
    try:
        source.stat()
        if wanted.force or wanted.output_dir == STDOUT:
            return None
        if not is_up_to_date(base, wanted.formats, source, state.output(base)):
            return None
    except CommandError as error:
        return failed(source, error)
    return Outcome(source=source.name, status="skipped", outputs=_written(base, wanted))


def failed(source: Source, error: CommandError, job_id: str | None = None) -> Outcome:
    """Return the outcome of a source with an error."""
    problem = ProblemInJob(code=error.code, message=str(error))
    return Outcome(source=source.name, status="failed", job_id=job_id, error=problem)


def ended(source: Source, base: Path, wanted: Wanted, job: JobView) -> Outcome:
    """Return the outcome of a job that ended."""
    is_completed = job.status is JobStatus.COMPLETED
    unknown = ProblemInJob(code="job_cancelled", message="Another client cancelled the job.")
    return Outcome(
        source=source.name,
        status="done" if is_completed else "failed",
        job_id=job.job_id,
        outputs=_written(base, wanted) if is_completed else (),
        duration_s=job.audio.duration,
        warnings=tuple(dict.fromkeys(each.code for each in job.warnings)),
        error=None if is_completed else job.error or unknown,
    )


def _written(base: Path, wanted: Wanted) -> tuple[str, ...]:
    if wanted.output_dir == STDOUT:
        return ()
    return tuple(printable(str(with_ending(base, each))) for each in wanted.formats)


def show(report: Report, wanted: Wanted, source: Source, outcome: Outcome) -> None:
    """Show an outcome to the person and, if wanted, to a program."""
    report.ended(source, outcome)
    if wanted.as_json:
        write_json(outcome)


async def gathered(tasks: Sequence[asyncio.Task[Outcome]]) -> list[Outcome]:
    """Return the results of all tasks. If this is cancelled, each is cancelled once, and ends first."""
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
