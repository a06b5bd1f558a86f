"""`python -m tests.tools.benchmarks.ingest.generate_load`: one process of the load generator.

Reads an Order from standard input, executes it and writes an Outcome. It sends prebuilt bytes on plain sockets: a
request costs two or three system calls.
"""

import gc
import resource
import sys
import time
from functools import partial

import msgspec

from tests.tools.benchmarks.ingest.http_answer import Answer
from tests.tools.benchmarks.ingest.orders import Mode, Order, Outcome
from tests.tools.benchmarks.ingest.swarm import Swarm
from tests.tools.benchmarks.ingest.upload_client import Client

PIECES = 8  # of a HELD_OPEN upload


def main() -> None:
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    swarm = Swarm(order)
    gc.disable()  # no object here has cycles, and a pause would count as server latency
    time.sleep(max(0.0, order.start_at_s - time.monotonic()))
    started_s, cpu_before_s = time.monotonic(), time.process_time()
    BEGIN[order.mode](swarm)
    swarm.run()
    outcome = Outcome(
        accepted=swarm.accepted,
        latencies_s=swarm.latencies_s,
        errors=dict(swarm.errors),
        started_s=started_s,
        ended_s=swarm.ended_s,
        cpu_s=time.process_time() - cpu_before_s,
        most_open=swarm.most_open,
    )
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


def begin_kept_alive(swarm: Swarm) -> None:
    stop_at_s = swarm.order.start_at_s + swarm.order.seconds

    def next_upload(client: Client, answer: Answer | None) -> None:
        if time.monotonic() >= stop_at_s:
            swarm.drop(client)
        elif answer is None or answer.closes:
            swarm.drop(client)
            swarm.after(time.monotonic(), lambda: swarm.upload(swarm.connect()))
        else:
            client.began_s = time.monotonic()
            swarm.upload(client)

    swarm.on_end = next_upload
    begin_at_once(swarm)


def begin_at_once(swarm: Swarm) -> None:
    for _ in range(swarm.order.clients):
        swarm.upload(swarm.connect())


def begin_held_open(swarm: Swarm) -> None:
    order = swarm.order
    for index in range(order.clients):
        at_s = order.start_at_s + order.ramp_s * index / order.clients
        swarm.after(at_s, partial(_hold_one, swarm, at_s))


def _hold_one(swarm: Swarm, at_s: float) -> None:
    client = swarm.connect()
    swarm.hold(client)
    _feed(swarm, client, at_s, 0)


def _feed(swarm: Swarm, client: Client, at_s: float, index: int) -> None:
    """Send piece `index`, due at `at_s`, and schedule the next."""
    if not client.is_open:  # answered early or broken; already counted
        return
    whole = swarm.request.whole(client.number)
    start, end = (len(whole) * number // PIECES for number in (index, index + 1))
    if index + 1 < PIECES:
        next_at_s = at_s + swarm.order.hold_s / (PIECES - 1)
        swarm.after(next_at_s, partial(_feed, swarm, client, next_at_s, index + 1))
    else:
        client.began_s = time.monotonic()
    swarm.attempt(client, lambda: client.feed(whole[start:end]))


BEGIN = {
    Mode.KEPT_ALIVE: begin_kept_alive,
    Mode.AT_ONCE: begin_at_once,
    Mode.HELD_OPEN: begin_held_open,
}

if __name__ == "__main__":
    main()
