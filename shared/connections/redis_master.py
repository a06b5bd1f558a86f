"""Finds the master of Redis anew at each attempt to connect, as long as Sentinels are there to ask."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class FindsMasterAnew:
    """Put before redis-py's connection that Sentinels manage: an address is tried once.

    Redis-py asks once, then tries that address for as long as its connection's `retry` says: a worker that is to
    outlive any outage would knock at the dead master's door for ever.
    """

    retry: Any

    async def connect_to(self, address: tuple[str, int]) -> None:
        """One attempt; whoever asked for the address asks again."""
        patient, self.retry = self.retry, _Once()
        try:
            await super().connect_to(address)  # type: ignore[misc] # of the class that it is put before
        finally:
            self.retry = patient


class _Once:
    """Redis-py's `Retry`, with none."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Callable[[Exception], Awaitable[None]]) -> T:
        try:
            return await do()
        except Exception as error:
            await fail(error)
            raise
