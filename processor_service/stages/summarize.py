"""Summarize: ask chat providers about the stored transcript, and store it again with what they made of it.

It holds no compute slot. It never fails a job: what cannot be had becomes a warning. It reads the transcript as all
other steps have left it.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from processor_service.errors import PermanentError, TaskError
from processor_service.settings import ProcessorSettings
from processor_service.summaries.chat_api import ChatApi
from processor_service.summaries.map_reduce import MapReduce, Progress, Result, use_of
from processor_service.summaries.numbered_lines import Line, lines_of
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.failures import failure_of
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import JobDone
from processor_service.tasks.retry import GiveUp, RetryPolicy, decide
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.schemas.failures import FailureCode
from shared.schemas.summary import SUMMARY_OPTIONS
from shared.schemas.transcript import ResultWarning, Transcript, WarningCode
from shared.telemetry.logs import Log

log = Log(__name__)


class Summarizer(msgspec.Struct, frozen=True, kw_only=True):
    """Summarizes the transcripts of all jobs of a process."""

    chats: tuple[ChatApi, ...]
    blobs: BlobStore
    leases: Leases
    settings: ProcessorSettings

    async def summarize(self, task: ClaimedTask, policy: RetryPolicy) -> JobDone:
        """Return the end of the job. Raise TaskError only if another attempt follows; BlobStoreError."""
        if is_summarized(before := await self._transcript(task)):
            return await self._ended(task, before)
        lines = await asyncio.to_thread(lines_of, before)
        del before  # a day of speech has 100 MB; the providers may take minutes
        try:
            made, why = await self._asked(task, lines) if lines else (None, "")
        except TaskError as error:
            decision = decide(failure_of(error), failed_attempts=task.attempts + 1, policy=policy)
            if not isinstance(decision, GiveUp):
                raise
            log.warning("summary_unavailable", code=error.code, error=error.message)
            made, why = _Made(progress=await self._progress(task)), error.message
        after = _with(await self._transcript(task), made, why)
        failpoint("summarize.before_transcript")
        await self.leases.confirm(task)
        await self.blobs.put(blob_keys.transcript(task.job_id, task.generation), msgspec.json.encode(after))
        failpoint("summarize.after_transcript")
        return await self._ended(task, after)

    async def _transcript(self, task: ClaimedTask) -> Transcript:
        stored = await self.blobs.get(blob_keys.transcript(task.job_id, task.generation))
        return msgspec.json.decode(stored, type=Transcript)

    async def _ended(self, task: ClaimedTask, transcript: Transcript) -> JobDone:
        await self.blobs.delete_keys([blob_keys.summary_progress(task.job_id, task.generation)])
        return JobDone(transcript.warnings, speakers=len(transcript.speakers), made=made_of(transcript))

    async def _asked(self, task: ClaimedTask, lines: Sequence[Line]) -> tuple["_Made", str]:
        """Return what the providers made, and why something is missing."""
        if not self.chats:
            raise PermanentError(FailureCode.MODEL_UNAVAILABLE, "This server has no chat provider.")
        progress = await self._progress(task)
        began_s, spent_before_s = time.monotonic(), progress.spent_s

        async def save() -> None:
            progress.spent_s = spent_before_s + time.monotonic() - began_s
            key = blob_keys.summary_progress(task.job_id, task.generation)
            await self.blobs.put(key, msgspec.json.encode(progress))

        requests = self.settings.summary_requests
        work = MapReduce(self.chats, task.options, progress, save, most_requests=requests)
        result = await self._in_time(work, lines, spent_before_s)
        why = "The providers sent no valid answer." if result.lacking else ""
        return _Made(result=result, progress=progress), why

    async def _in_time(self, work: MapReduce, lines: Sequence[Line], spent_s: float) -> Result:
        """All attempts together have `summary_timeout_s`, without the waits between them."""
        timeout_s = self.settings.summary_timeout_s
        timeout = asyncio.timeout(max(0.0, timeout_s - spent_s))
        try:
            async with timeout:
                return await work.summarize(lines)
        except TimeoutError:
            if not timeout.expired():
                raise
            message = f"The chat providers took longer than {timeout_s:g} s."
            raise PermanentError(FailureCode.TIMEOUT, message) from None

    async def _progress(self, task: ClaimedTask) -> Progress:
        key = blob_keys.summary_progress(task.job_id, task.generation)
        try:
            return msgspec.json.decode(await self.blobs.get(key), type=Progress)
        except (BlobNotFoundError, msgspec.MsgspecError):
            return Progress()


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    progress: Progress
    result: Result | None = None


def is_summarized(transcript: Transcript) -> bool:
    """Whether an attempt has already stored its end, and died before the job's."""
    has_warning = any(one.code == WarningCode.SUMMARY_UNAVAILABLE for one in transcript.warnings)
    return has_warning or transcript.summarized_by is not msgspec.UNSET


def made_of(transcript: Transcript) -> tuple[str, ...]:
    """Return the names of the parts that providers made."""
    return tuple(name for name in SUMMARY_OPTIONS if getattr(transcript, name) is not msgspec.UNSET)


def _with(transcript: Transcript, made: _Made | None, why: str) -> Transcript:
    """Return the transcript with what was made, and a warning about what was not."""
    if made is None:
        return transcript
    if made.progress.requests:  # they cost something, whatever came of it
        transcript = msgspec.structs.replace(transcript, summarized_by=use_of(made.progress))
    if made.result is None:
        return _warned(transcript, "What was requested about the text", why)
    found = {name: getattr(made.result.answer, name) for name in SUMMARY_OPTIONS}
    present = {name: value for name, value in found.items() if value is not None}
    with_all = msgspec.structs.replace(transcript, **present)
    lacking = " and ".join(f"`{name}`" for name in made.result.lacking)
    return _warned(with_all, lacking, why) if lacking else with_all


def _warned(transcript: Transcript, what: str, why: str) -> Transcript:
    warning = ResultWarning(code=WarningCode.SUMMARY_UNAVAILABLE, message=f"{what} could not be made. {why}")
    return msgspec.structs.replace(transcript, warnings=(*transcript.warnings, warning))
