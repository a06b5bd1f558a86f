"""A circuit breaker: whether a provider is asked at all. Decisions are pure; `Breaker` holds the state of one provider.

closed ──failures in a row, or Retry-After──> open ──time is over──> half open ──the probe succeeds──> closed
                                               ^                          └──────the probe fails────────┐
                                               └────────────────────────────────────────────────────────┘
Method: Nygard, Release It! (2007), "Circuit Breaker".
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

LONGEST_REST_S = 600.0  # whatever a provider asks for


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to open, and for how long."""

    failures: int  # in a row
    cool_down_s: float


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Of one provider. `epoch` counts openings and closings: what was asked in an earlier one says nothing any more."""

    failures: int = 0
    open_until_s: float | None = None  # None: closed
    is_probing: bool = False
    epoch: int = 0


class Allowed(msgspec.Struct, frozen=True):
    """The request may be made; how it goes is to be told."""

    epoch: int
    is_probe: bool


class Resting(msgspec.Struct, frozen=True):
    """It may not. After so many seconds it is worth asking again."""

    wait_s: float


def ask(state: State, *, now_s: float) -> tuple[State, Allowed | Resting]:
    """Whether a request may be made now. One that finds the time of rest over is the probe, and the only one."""
    if state.open_until_s is None:
        return state, Allowed(state.epoch, is_probe=False)
    if now_s < state.open_until_s or state.is_probing:
        return state, Resting(max(0.0, state.open_until_s - now_s))
    return msgspec.structs.replace(state, is_probing=True), Allowed(state.epoch, is_probe=True)


def succeeded(state: State, request: Allowed) -> State:
    """The provider did its part."""
    if request.epoch != state.epoch:
        return state
    return State(epoch=state.epoch + request.is_probe)


def failed(state: State, request: Allowed, rules: Rules, *, now_s: float, asked_rest_s: float | None = None) -> State:
    """It did not; `asked_rest_s` is the time for which it asked to be left alone."""
    if request.epoch != state.epoch:
        return state
    failures = state.failures + 1
    if failures < rules.failures and not request.is_probe and asked_rest_s is None:
        return msgspec.structs.replace(state, failures=failures)
    rest_s = rules.cool_down_s if asked_rest_s is None else min(asked_rest_s, LONGEST_REST_S)
    return State(failures=failures, open_until_s=now_s + rest_s, epoch=state.epoch + 1)


def abandoned(state: State, request: Allowed) -> State:
    """Nobody knows: the request was given up by us."""
    return msgspec.structs.replace(state, is_probing=False) if request.epoch == state.epoch else state


class Call:
    """A request under way; says once how it went."""

    def __init__(self, breaker: "Breaker", allowed: Allowed) -> None:
        self._breaker = breaker
        self._allowed = allowed
        self.is_concluded = False

    def succeeded(self) -> None:
        self._conclude(succeeded(self._breaker.state, self._allowed))

    def failed(self, *, asked_rest_s: float | None = None) -> None:
        breaker = self._breaker
        state = failed(breaker.state, self._allowed, breaker.rules, now_s=breaker.clock_s(), asked_rest_s=asked_rest_s)
        self._conclude(state)

    def abandoned(self) -> None:
        self._conclude(abandoned(self._breaker.state, self._allowed))

    def _conclude(self, state: State) -> None:
        self.is_concluded = True
        self._breaker.state = state


class RestingError(Exception):
    """The provider is not to be asked for `wait_s` more seconds; 0 where another request is finding out."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"resting for {wait_s:.0f} s")
        self.wait_s = wait_s


class Breaker:
    """The state of one provider as this process knows it."""

    def __init__(self, rules: Rules, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self.clock_s = clock_s
        self.state = State()

    @contextmanager
    def call(self) -> Iterator[Call]:
        """Make one request; raises RestingError instead. One that ends without a word is abandoned."""
        self.state, answer = ask(self.state, now_s=self.clock_s())
        if isinstance(answer, Resting):
            raise RestingError(answer.wait_s)
        call = Call(self, answer)
        try:
            yield call
        finally:
            if not call.is_concluded:
                call.abandoned()
