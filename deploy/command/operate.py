"""The commands about jobs, dead letters, usage and keys. Results go to standard output."""

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from deploy.command.api import Api, decode
from deploy.command.follow import wait_for_end
from deploy.command.retries import ONCE
from deploy.command.sources import printable
from deploy.command.tables import percent, table
from shared.schemas.api import JobAccepted, JobEvent, JobList, JobView, Usage
from shared.schemas.dead_letters import DeadLetterList, Redriven
from shared.schemas.failures import DeadLetter

PAGE = 200


def write(text: str) -> None:
    print(text, flush=True)


def write_result(value: Any) -> None:
    """Print a result as JSON in one line."""
    write(msgspec.json.encode(value).decode())


def job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


async def list_jobs(api: Api, chosen: argparse.Namespace) -> None:
    jobs = [job async for job in _jobs(api, chosen.status, chosen.limit)]
    if chosen.json:
        for job in jobs:
            write_result(job)
        return
    rows = (
        (job.job_id, job.status, percent(job.progress), job.audio.duration, job.created_at, job.filename)
        for job in jobs
    )
    write(table(("JOB", "STATUS", "DONE", "SECONDS", "CREATED", "FILE"), rows))


async def _jobs(api: Api, status: str | None, limit: int) -> AsyncIterator[JobView]:
    left, cursor = limit, None
    while left > 0:
        query = {"status": status, "limit": min(left, PAGE), "cursor": cursor}
        page = await api.get(JobList, "/v1/jobs", params=_given(query))
        for job in page.jobs:
            yield job
        if not page.jobs or page.next_cursor in {None, cursor}:
            return
        left, cursor = left - len(page.jobs), page.next_cursor


async def show_job(api: Api, chosen: argparse.Namespace) -> None:
    job = await api.get(JobView, job_path(chosen.job))
    if chosen.json:
        write_result(job)
        return
    facts = {
        "file": job.filename,
        "status": job.status,
        "stage": f"{job.stage}, {percent(job.progress)}",
        "created": job.created_at,
        "started": job.started_at,
        "ended": job.completed_at,
        "position": job.queue_position,
        "wait, s": job.estimated_wait_s,
        "audio, s": job.audio.duration,
        "format": job.audio.format,
        "bytes": job.audio.bytes,
        "attempts": job.attempts,
        "warnings": [each.code for each in job.warnings],
        "error": f"{job.error.code}: {job.error.message}" if job.error else None,
    }
    write(table(("job", job.job_id), ((name, value) for name, value in facts.items() if value not in (None, []))))


async def follow_job(api: Api, chosen: argparse.Namespace) -> None:
    """Print each change until the job ends."""
    last = ""

    def changed(state: JobEvent | JobView) -> None:
        nonlocal last
        if chosen.json and isinstance(state, JobEvent):
            write_result(state)
        line = f"{state.status} {state.stage} {percent(state.progress)}"
        if not chosen.json and line != last:
            write(line)
        last = line

    await wait_for_end(api, quote(chosen.job, safe=""), changed)


async def cancel_jobs(api: Api, chosen: argparse.Namespace) -> None:
    for job_id in chosen.job:
        job = decode(await api.send("POST", f"{job_path(job_id)}/cancel"), JobView)
        _say(chosen, job, f"{job.job_id} is {job.status}")


async def delete_jobs(api: Api, chosen: argparse.Namespace) -> None:
    for job_id in chosen.job:
        await api.send("DELETE", job_path(job_id))
        _say(chosen, {"job_id": job_id, "erased": True}, f"{job_id} is erased")


async def list_dead_letters(api: Api, chosen: argparse.Namespace) -> None:
    letters = [letter async for letter in _dead_letters(api, _given({"code": chosen.code, "tenant": chosen.tenant}))]
    if chosen.json:
        for letter in letters:
            write_result(letter)
        return
    rows = (
        (one.job_id, one.tenant, one.task_kind, one.code, one.attempts, one.last_failed_at, one.message)
        for one in letters
    )
    write(table(("JOB", "TENANT", "TASK", "CODE", "ATTEMPTS", "FAILED", "MESSAGE"), rows))


async def _dead_letters(api: Api, query: Mapping[str, str]) -> AsyncIterator[DeadLetter]:
    cursor = None
    while True:
        of_page = _given({"limit": PAGE, "cursor": cursor})
        page = await api.get(DeadLetterList, "/v1/dead-letters", params={**query, **of_page})
        for letter in page.dead_letters:
            yield letter
        if page.next_cursor in {None, cursor}:
            return
        cursor = page.next_cursor


async def redrive(api: Api, chosen: argparse.Namespace) -> None:
    """Redrive the named jobs, or all, or those with one code. A redrive is sent once: a repeat could be another."""
    for job_id in chosen.job:
        path = f"/v1/dead-letters/{quote(job_id, safe='')}/redrive"
        query = _given({"tenant": chosen.tenant})
        job = decode(await api.send("POST", path, params=query, retries=ONCE, timeout=None), JobAccepted)
        _say(chosen, job, f"redriven: job {job.job_id} is {job.status}")
    if not chosen.job:
        query = _given({"code": chosen.code, "tenant": chosen.tenant})
        answer = await api.send("POST", "/v1/dead-letters/redrive", params=query, retries=ONCE, timeout=None)
        redriven = decode(answer, Redriven)
        _say(chosen, redriven, f"redriven: {redriven.redriven} dead letters")


async def show_usage(api: Api, chosen: argparse.Namespace) -> None:
    usage = await api.get(Usage, "/v1/usage", params=_given({"from": chosen.first, "to": chosen.last}))
    if chosen.json:
        write_result(usage)
        return
    days = ((day.day, day.uploads, day.bytes, day.audio_seconds) for day in usage.days)
    write(table(("DAY", "UPLOADS", "BYTES", "AUDIO SECONDS"), days))
    quotas = msgspec.structs.asdict(usage.quotas).items()
    write("\n" + table(("QUOTA", "AT MOST"), ((name, "no limit" if most is None else most) for name, most in quotas)))


class _Key(msgspec.Struct, frozen=True):
    """A key as `/v1/keys` shows it; `key` in the answer to its creation only."""

    key_id: str
    purpose: str
    scopes: list[str]
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    operates: bool = False
    key: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[_Key]


class _RawKeys(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


async def manage_keys(api: Api, chosen: argparse.Namespace) -> None:
    match chosen.action:
        case "create":
            await _create_key(api, chosen)
        case "revoke":
            for key_id in chosen.key:
                await api.send("DELETE", f"/v1/keys/{quote(key_id, safe='')}")
                _say(chosen, {"key_id": key_id, "revoked": True}, f"{key_id} is revoked")
        case _:
            await _list_keys(api, chosen)


async def _list_keys(api: Api, chosen: argparse.Namespace) -> None:
    answer = await api.send("GET", "/v1/keys")
    if chosen.json:
        for key in decode(answer, _RawKeys).keys:
            write_result(key)
        return
    keys = decode(answer, _Keys).keys
    rows = ((one.key_id, one.purpose, one.scopes, one.created_at, one.expires_at, one.revoked_at) for one in keys)
    write(table(("KEY ID", "PURPOSE", "SCOPES", "CREATED", "EXPIRES", "REVOKED"), rows))


async def _create_key(api: Api, chosen: argparse.Namespace) -> None:
    scopes = [each.strip() for each in chosen.scopes.split(",") if each.strip()]
    body = _given({"scopes": scopes, "purpose": chosen.purpose, "expires_days": chosen.expires_days})
    answer = await api.send("POST", "/v1/keys", json=body, retries=ONCE)  # a repeat could make a second key
    _say(chosen, decode(answer, msgspec.Raw), decode(answer, _Key).key)


def _say(chosen: argparse.Namespace, value: Any, text: str) -> None:
    if chosen.json:
        write_result(value)
    else:
        write(printable(text))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


COMMANDS: Mapping[str, Callable[[Api, argparse.Namespace], Awaitable[None]]] = {
    "jobs": list_jobs,
    "show": show_job,
    "events": follow_job,
    "cancel": cancel_jobs,
    "delete": delete_jobs,
    "dead-letters": list_dead_letters,
    "redrive": redrive,
    "usage": show_usage,
    "keys": manage_keys,
}
