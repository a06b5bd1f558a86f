"""The clients of one process of the load generator on one epoll: sends, reads answers, counts; Python's own loop."""

import heapq
import select
import time
from collections import Counter
from collections.abc import Callable
from itertools import count, cycle

from tests.benchmarks.ingest.form_request import FormRequest
from tests.benchmarks.ingest.http_answer import Answer
from tests.benchmarks.ingest.orders import Order
from tests.benchmarks.ingest.upload_client import Client

EVENTS_AT_A_TIME = 1024
LONGEST_WAIT_S = 0.5
HOST = "127.0.0.1"
ENOUGH_ERRORS = 20_000  # a server that refuses everything is not asked for ever


class Swarm:
    """Clients and what came of their uploads. `ended` is told of each client whose upload is over, and its answer."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.request = FormRequest(f"{HOST}:{order.port}", order.audio_bytes)
        self.accepted: list[tuple[int, str]] = []
        self.latencies_s: list[float] = []
        self.errors: Counter[str] = Counter()
        self.most_open = 0
        self.ended_s = 0.0
        self.ended: Callable[[Client, Answer | None], None] = lambda client, _: self.drop(client)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._numbers = count(order.first_number)
        self._sources = cycle(order.sources)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = count()

    def connect(self) -> Client:
        """A new client, whose latency starts now."""
        client = Client(self._epoll, (HOST, self.order.port), next(self._sources))
        self._clients[client.fileno()] = client
        self.most_open = max(self.most_open, len(self._clients))
        return client

    def upload(self, client: Client) -> None:
        """Have it send the next upload."""
        number = next(self._numbers)
        self.attempt(client, lambda: client.begin(number, self.request.batches(number)))

    def hold(self, client: Client) -> None:
        """Have it begin the next upload, which is fed by and by."""
        client.begin(next(self._numbers))

    def attempt(self, client: Client, send: Callable[[], None]) -> None:
        """Do what sends on a connection; that it broke is counted."""
        try:
            send()
        except OSError as error:
            self._failed(client, error)

    def after(self, at_s: float, action: Callable[[], None]) -> None:
        """Do something at a time of the monotonic clock."""
        heapq.heappush(self._timers, (at_s, next(self._timer_numbers), action))

    def drop(self, client: Client) -> None:
        self._clients.pop(client.fileno(), None)
        client.close()

    def run(self) -> None:
        """Until no client and no timer is left, or the time is up: then what is unanswered is counted."""
        stop_at_s = self.order.start_at_s + self.order.most_s
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
            return LONGEST_WAIT_S
        return min(LONGEST_WAIT_S, max(0.0, self._timers[0][0] - time.monotonic()))

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
        self.ended(client, answer)

    def _failed(self, client: Client, error: Exception) -> None:
        self.ended_s = time.monotonic()
        self.errors[f"{type(error).__name__}: {error}"[:80]] += 1
        if self.errors.total() < ENOUGH_ERRORS:
            self.ended(client, None)
        else:
            self.drop(client)
