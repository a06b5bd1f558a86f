"""Ends the summarize tasks that no processor can serve: each job completes with a warning instead of waiting forever.

A processor with chat providers polls their queue, and announces that it does. The leader, if it has none, takes tasks
only while no processor announces any: for minutes after the last one, as a processor may restart.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

from processor_service.maintenance.leader import Turn
from shared.connections.redis_shards import RedisShard, RedisShards, ask_each
from shared.queue.announced_models import are_summaries_announced
from shared.queue.dispatch import SUMMARY_QUEUE, Dispatch, dispatch_of
from shared.queue.fair_shares import take
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

EVERY_S = 5.0
LOOKS = 3  # in a row without an announcement: a Redis that lost its data gets it again within one or two
MOST_A_LOOK = 100


class UnprovidedSummaries:
    """`end` runs an attempt of a task, which finds no chat provider."""

    def __init__(self, shards: RedisShards, end: Callable[[Dispatch], Awaitable[None]]) -> None:
        self._shards = shards
        self._end = end
        self._looks = Counter[str]()  # without an announcement, by the name of the Redis

    async def run(self, turn: Turn) -> None:
        """Look at each turn, until cancelled."""
        outages = Outages(log, "summaries_not_ended", "summaries_ended_again")
        while True:
            await turn()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the loop must survive every outage
                outages.failed(error)
            else:
                outages.worked()

    async def look(self) -> None:
        """End what waits in each Redis in which no processor has announced providers for LOOKS looks."""
        answers = await ask_each(self._shards, are_summaries_announced)
        for shard, is_announced in answers.require_one().items():
            self._looks[shard.name] = 0 if is_announced else self._looks[shard.name] + 1
            if self._looks[shard.name] >= LOOKS:
                await self._end_some(shard)

    async def _end_some(self, shard: RedisShard) -> None:
        """One at a time: a transcript may be large, and the next look sees a processor that has started."""
        for _ in range(MOST_A_LOOK):
            taken = await shard.ask(lambda redis: take(redis, SUMMARY_QUEUE, 1))
            if not taken:
                return
            if (dispatch := dispatch_of(taken[0], SUMMARY_QUEUE)) is not None:
                await self._end(dispatch)
