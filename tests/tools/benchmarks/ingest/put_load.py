"""Runs a load: starts the load generator's processes at the same time and merges their outcomes."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from tests.support.stack.launched import ROOT
from tests.tools.benchmarks.ingest.loads import Load
from tests.tools.benchmarks.ingest.orders import Order, Outcome

STARTS_AFTER_S = 1.0  # by then every process has read its order
NUMBERS_A_PROCESS = 1 << 40
CLIENTS_AN_ADDRESS = 5000  # of 28,000 ports; the previous run's ports are still in TIME_WAIT
FIRST_ADDRESS, LAST_ADDRESS = 2, 250
_addresses = count()


async def put_load(load: Load, port: int, processes: int) -> Outcome:
    """Run a load to its end. Raise RuntimeError when a process of the generator fails."""
    start_at_s = time.monotonic() + STARTS_AFTER_S
    orders = list(_orders(load, port, min(processes, load.clients), start_at_s))
    return join(await asyncio.gather(*(_execute(order) for order in orders)))


def _orders(load: Load, port: int, processes: int, start_at_s: float) -> Iterator[Order]:
    for index in range(processes):
        clients = load.clients // processes + (index < load.clients % processes)
        yield Order(
            port=port,
            mode=load.mode,
            audio_bytes=load.audio_bytes,
            clients=clients,
            first_number=index * NUMBERS_A_PROCESS,
            sources=tuple(_address() for _ in range(-(-clients // CLIENTS_AN_ADDRESS))),
            start_at_s=start_at_s,
            seconds=load.seconds,
            ramp_s=load.ramp_s,
            hold_s=load.hold_s,
            timeout_s=load.timeout_s,
        )


def _address() -> str:
    """Return the next loopback address. Rotation delays reuse."""
    return f"127.0.0.{FIRST_ADDRESS + next(_addresses) % (LAST_ADDRESS - FIRST_ADDRESS)}"


async def _execute(order: Order) -> Outcome:
    command = [sys.executable, "-m", "tests.tools.benchmarks.ingest.generate_load"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        output, errors = await process.communicate(msgspec.msgpack.encode(order))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the load generator failed: {errors.decode(errors='replace')[-1500:]}")
    return msgspec.msgpack.decode(output, type=Outcome)


def join(outcomes: Sequence[Outcome]) -> Outcome:
    """Merge outcomes into one."""
    errors: Counter[str] = Counter()
    for outcome in outcomes:
        errors.update(outcome.errors)
    return Outcome(
        accepted=[upload for outcome in outcomes for upload in outcome.accepted],
        latencies_s=[latency for outcome in outcomes for latency in outcome.latencies_s],
        errors=dict(errors),
        started_s=min(outcome.started_s for outcome in outcomes),
        ended_s=max(outcome.ended_s for outcome in outcomes),
        cpu_s=sum(outcome.cpu_s for outcome in outcomes),
        most_open=sum(outcome.most_open for outcome in outcomes),
    )
