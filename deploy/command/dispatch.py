"""Run one command until it ends or a signal stops it."""

import argparse
import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial

import msgspec

from deploy.command.api import DEFAULT_URL, Api, answers, checked_url, opened_api, shown_url
from deploy.command.arguments import left_to_the_service, parse, wanted_of
from deploy.command.errors import CommandError, UnreachableError, UsageError
from deploy.command.operate import COMMANDS
from deploy.command.outputs import STDOUT, plan_bases
from deploy.command.own_stack import own_stack, why_impossible
from deploy.command.report import Report, opened_report, show_cursor, write_line
from deploy.command.retries import FOREVER, Retries
from deploy.command.sources import find_sources, missing_paths
from deploy.command.state import State, state_path
from deploy.command.transcribe import Batch, Wanted, known_outcome, show
from deploy.command.watch import watch
from shared.secret import Secret

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128  # plus the signal's number, as shells say it: 130 after Ctrl-C
FIRST_ANSWER_S = 5.0
LOOK_EVERY_S = 0.5
BRIEFLY = Retries(outage_s=5.0, busy_s=60.0)  # of commands at which a person waits


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command. Return the exit status."""
    try:
        chosen = parse(arguments)
        return asyncio.run(_until_signalled(chosen, environ))
    except UsageError as error:
        write_line(f"headrace: {error}")
        return 2
    except CommandError as error:
        write_line(f"headrace: {error}")
        return 1
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at the exit
        return 1


async def _until_signalled(chosen: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run a command. The first signal cancels it, the second ends the process."""
    work = asyncio.ensure_future(_run(chosen, environ))
    received: list[int] = []

    def stop(number: int) -> None:
        if received:
            show_cursor()
            os._exit(SIGNALLED + number)
        received.append(number)
        work.cancel()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not received:
            raise
        return SIGNALLED + received[0]


async def _run(chosen: argparse.Namespace, environ: Mapping[str, str]) -> int:
    key = Secret((chosen.api_key or environ.get("HEADRACE_API_KEY") or "").strip())
    if not (key.reveal().isascii() and key.reveal().isprintable()):
        raise UsageError("The API key has characters that no key has")
    if chosen.command == "transcribe":
        return await _transcribe(chosen, environ, key)
    url = _given_url(chosen, environ)
    if chosen.command == "watch":
        from deploy.command.watcher.run import watch_place

        async with opened_api(url or DEFAULT_URL, key, retries=FOREVER, note=write_line) as api:
            return await watch_place(api, chosen)
    async with opened_api(url or DEFAULT_URL, key, retries=BRIEFLY, note=write_line) as api:
        try:
            await COMMANDS[chosen.command](api, chosen)
        except UnreachableError as error:
            hint = "" if url else " Start a service (`make run`), or set --url or HEADRACE_URL."
            raise CommandError(f"{error}{hint}") from error
    return 0


def _given_url(chosen: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    text = chosen.url or environ.get("HEADRACE_URL")
    return checked_url(text) if text else None


async def _transcribe(chosen: argparse.Namespace, environ: Mapping[str, str], key: Secret) -> int:
    wanted, url = wanted_of(chosen), _given_url(chosen, environ)
    with (
        closing(_opened_state(environ)) as state,
        opened_report(as_json=chosen.json, prints=wanted.output_dir == STDOUT) as report,
    ):
        if ignored := left_to_the_service(chosen):
            report.note(f"{', '.join(ignored)}: ignored, the service decides")
        service = partial(_service, chosen, environ, url, key, report)
        if chosen.watch:
            return await _watch(chosen, service, state, wanted, report)
        return await _transcribe_once(chosen, service, state, wanted, report)


Service = Callable[[], AbstractAsyncContextManager[tuple[Api, bool]]]


async def _watch(chosen: argparse.Namespace, service: Service, state: State, wanted: Wanted, report: Report) -> int:
    async with service() as (api, is_own):
        wanted = _erasing(wanted, is_own=is_own)
        for text in missing_paths(chosen.inputs):
            report.note(f"{text} does not exist; it is transcribed when it comes.")
        await watch(Batch(api, state, wanted, report), state, wanted, chosen.inputs, chosen.every)
    return 0


async def _transcribe_once(
    chosen: argparse.Namespace, service: Service, state: State, wanted: Wanted, report: Report
) -> int:
    """Transcribe what is not up to date. Without any, no service is needed."""
    sources = find_sources(chosen.inputs)
    bases = plan_bases(sources, wanted.output_dir, state)
    report.expect(len(sources))
    known = {each.id: known_outcome(each, bases[each.id], wanted, state) for each in sources}
    outcomes = [outcome for outcome in known.values() if outcome is not None]
    for source in sources:
        if (outcome := known[source.id]) is not None:
            show(report, wanted, source, outcome)
    pending = [source for source in sources if known[source.id] is None]
    if pending:
        async with service() as (api, is_own):
            outcomes += await Batch(api, state, _erasing(wanted, is_own=is_own), report).run(pending, bases)
    return 0 if all(one.status in {"done", "skipped"} for one in outcomes) else 1


def _erasing(wanted: Wanted, *, is_own: bool) -> Wanted:
    """Return what to do with a service: one that was started for this run keeps nothing."""
    return msgspec.structs.replace(wanted, erase=wanted.erase or is_own)


@asynccontextmanager
async def _service(
    chosen: argparse.Namespace, environ: Mapping[str, str], url: str | None, key: Secret, report: Report
) -> AsyncIterator[tuple[Api, bool]]:
    """Connect to the given service, or the one at the default address, or else to one that is started for this run."""
    retries = FOREVER if chosen.watch else Retries()
    async with AsyncExitStack() as exits:
        is_own = False
        if url is None:
            url = DEFAULT_URL
            if not await answers(url, as_headrace=True):
                if reason := why_impossible():
                    raise CommandError(f"No service answers at {url}. Set --url or HEADRACE_URL. ({reason}.)")
                report.note(f"No service answers at {url}: starting one for this run. Use --url for another.")
                url, is_own = await exits.enter_async_context(own_stack(environ, chosen.model, report.note)), True
        elif not chosen.watch:
            await _require_answer(url)
        yield await exits.enter_async_context(opened_api(url, key, retries=retries, note=report.note)), is_own


async def _require_answer(url: str) -> None:
    """Raise CommandError if no server answers within FIRST_ANSWER_S: a wrong address is found at once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_ANSWER_S):
            while not await answers(url, as_headrace=False):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(LOOK_EVERY_S)
            return
    raise CommandError(f"No service answers at {shown_url(url)}.")


def _opened_state(environ: Mapping[str, str]) -> State:
    path = state_path(environ)
    try:
        return State(path)
    except (OSError, sqlite3.Error) as error:
        write_line(f"Cannot use {path} ({error}): nothing is remembered of this run.")
        return State(None)
