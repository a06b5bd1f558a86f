"""A circuit breaker per provider: requests are refused after repeated failures. Decisions are pure functions.

closed ──consecutive failures, or Retry-After──> open ──time has passed──> half open ──probe succeeds──> closed
                                                  ^                            └───────probe fails───────┐
                                                  └──────────────────────────────────────────────────────┘
Method: Nygard, Release It! (2007), "Circuit Breaker".
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

MAX_OPEN_S = 600.0  # upper bound of a Retry-After


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When the breaker opens, and for how long."""

    failures: int  # consecutive
    cool_down_s: float


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one provider. `epoch` counts openings and closings; results of an earlier epoch are ignored."""

    failures: int = 0
    open_until_s: float | None = None  # None: closed
    is_probing: bool = False
    epoch: int = 0


class Allowed(msgspec.Struct, frozen=True):
    """The request may be made. The caller reports its result."""

    epoch: int
    is_probe: bool


class Refused(msgspec.Struct, frozen=True):
    """The request may not be made before `wait_s` seconds."""

    wait_s: float


def admit(state: State, *, now_s: float) -> tuple[State, Allowed | Refused]:
    """Whether a request may be made now. The first request after the open time is the only probe."""
    if state.open_until_s is None:
        return state, Allowed(state.epoch, is_probe=False)
    if now_s < state.open_until_s or state.is_probing:
        return state, Refused(max(0.0, state.open_until_s - now_s))
    return msgspec.structs.replace(state, is_probing=True), Allowed(state.epoch, is_probe=True)


def succeeded(state: State, request: Allowed) -> State:
    """The state after a success."""
    if request.epoch != state.epoch:
        return state
    return State(epoch=state.epoch + request.is_probe)


def failed(state: State, request: Allowed, rules: Rules, *, now_s: float, retry_after_s: float | None = None) -> State:
    """The state after a failure; `retry_after_s` is the wait that the provider asked for."""
    if request.epoch != state.epoch:
        return state
    failures = state.failures + 1
    if failures < rules.failures and not request.is_probe and retry_after_s is None:
        return msgspec.structs.replace(state, failures=failures)
    open_s = rules.cool_down_s if retry_after_s is None else min(retry_after_s, MAX_OPEN_S)
    return State(failures=failures, open_until_s=now_s + open_s, epoch=state.epoch + 1)


def abandoned(state: State, request: Allowed) -> State:
    """The state after a request that we abandoned: its result is unknown."""
    return msgspec.structs.replace(state, is_probing=False) if request.epoch == state.epoch else state


class Call:
    """A request in progress. One of its methods is called once."""

    def __init__(self, breaker: "Breaker", allowed: Allowed) -> None:
        self._breaker = breaker
        self._allowed = allowed
        self.is_concluded = False

    def succeeded(self) -> None:
        self._conclude(succeeded(self._breaker.state, self._allowed))

    def failed(self, *, retry_after_s: float | None = None) -> None:
        breaker = self._breaker
        state = failed(
            breaker.state, self._allowed, breaker.rules, now_s=breaker.clock_s(), retry_after_s=retry_after_s
        )
        self._conclude(state)

    def abandoned(self) -> None:
        self._conclude(abandoned(self._breaker.state, self._allowed))

    def _conclude(self, state: State) -> None:
        self.is_concluded = True
        self._breaker.state = state


class BreakerOpenError(Exception):
    """No request may be made for `wait_s` more seconds; 0 while another request is the probe."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"open for {wait_s:.0f} s")
        self.wait_s = wait_s


class Breaker:
    """The breaker of one provider in this process."""

    def __init__(self, rules: Rules, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self.clock_s = clock_s
        self.state = State()

    @contextmanager
    def call(self) -> Iterator[Call]:
        """Make one request, or raise BreakerOpenError. A request without a reported result is abandoned."""
        self.state, answer = admit(self.state, now_s=self.clock_s())
        if isinstance(answer, Refused):
            raise BreakerOpenError(answer.wait_s)
        call = Call(self, answer)
        try:
            yield call
        finally:
            if not call.is_concluded:
                call.abandoned()
