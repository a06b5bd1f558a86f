"""The clients of one process of the load generator, on one epoll: sends uploads, reads answers, counts."""

import heapq
import select
import time
from collections import Counter
from collections.abc import Callable
from itertools import count, cycle

from tests.tools.benchmarks.ingest.form_request import FormRequest
from tests.tools.benchmarks.ingest.http_answer import Answer
from tests.tools.benchmarks.ingest.orders import Order
from tests.tools.benchmarks.ingest.upload_client import Client

EVENTS_AT_A_TIME = 1024
MAX_WAIT_S = 0.5
HOST = "127.0.0.1"
MAX_ERRORS = 20_000  # then no further uploads start


class Swarm:
    """Clients and their outcomes. `on_end` is called with each client whose upload ended, and its answer or None."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.request = FormRequest(f"{HOST}:{order.port}", order.audio_bytes)
        self.accepted: list[tuple[int, str]] = []
        self.latencies_s: list[float] = []
        self.errors: Counter[str] = Counter()
        self.most_open = 0
        self.ended_s = 0.0
        self.on_end: Callable[[Client, Answer | None], None] = lambda client, _: self.drop(client)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._numbers = count(order.first_number)
        self._sources = cycle(order.sources)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = count()

    def connect(self) -> Client:
        """Return a new client, whose latency starts now."""
        client = Client(self._epoll, (HOST, self.order.port), next(self._sources))
        self._clients[client.fileno()] = client
        self.most_open = max(self.most_open, len(self._clients))
        return client

    def upload(self, client: Client) -> None:
        """Send the next upload on a client."""
        number = next(self._numbers)
        self.attempt(client, lambda: client.begin(number, self.request.batches(number)))

    def hold(self, client: Client) -> None:
        """Start the next upload on a client; its pieces follow."""
        client.begin(next(self._numbers))

    def attempt(self, client: Client, send: Callable[[], None]) -> None:
        """Call `send` and count a broken connection."""
        try:
            send()
        except OSError as error:
            self._failed(client, error)

    def after(self, at_s: float, action: Callable[[], None]) -> None:
        """Call `action` at a time of the monotonic clock."""
        heapq.heappush(self._timers, (at_s, next(self._timer_numbers), action))

    def drop(self, client: Client) -> None:
        self._clients.pop(client.fileno(), None)
        client.close()

    def run(self) -> None:
        """Run until no client or timer is left, or the timeout; count unanswered uploads."""
        stop_at_s = self.order.start_at_s + self.order.timeout_s
        while (self._clients or self._timers) and time.monotonic() < stop_at_s:
            for descriptor, events in self._epoll.poll(self._wait_s(), EVENTS_AT_A_TIME):
                if client := self._clients.get(descriptor):
                    self._serve(client, events)
            self._fire_timers()
        if self._clients:
            self.errors["no answer"] += len(self._clients)
            self.ended_s = time.monotonic()
        for client in [*self._clients.values()]:
            self.drop(client)

    def _wait_s(self) -> float:
        if not self._timers:
            return MAX_WAIT_S
        return min(MAX_WAIT_S, max(0.0, self._timers[0][0] - time.monotonic()))

    def _fire_timers(self) -> None:
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            heapq.heappop(self._timers)[2]()

    def _serve(self, client: Client, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                client.send()
            answer = client.receive() if events & ~select.EPOLLOUT else None
        except (OSError, ValueError) as error:
            self._failed(client, error)
        else:
            if answer:
                self._answered(client, answer)

    def _answered(self, client: Client, answer: Answer) -> None:
        self.ended_s = time.monotonic()
        if answer.job_id is None:
            self.errors[f"status {answer.status}"] += 1
        else:
            self.accepted.append((client.number, answer.job_id))
            self.latencies_s.append(self.ended_s - client.began_s)
        self.on_end(client, answer)

    def _failed(self, client: Client, error: Exception) -> None:
        self.ended_s = time.monotonic()
        self.errors[f"{type(error).__name__}: {error}"[:80]] += 1
        if self.errors.total() < MAX_ERRORS:
            self.on_end(client, None)
        else:
            self.drop(client)
