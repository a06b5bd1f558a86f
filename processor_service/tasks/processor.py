"""The processor that tasks run in: its services, opened and closed by `service`."""

import aiohttp
import asyncpg
import msgspec

from processor_service.compute.pool import ComputePool
from processor_service.disks import Disks
from processor_service.maintenance.dead_letters import DeadLetterList
from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.leader import Leader
from processor_service.models.cache import ModelCache
from processor_service.providers.openai_api import OpenAIApi
from processor_service.results.write import ResultWriter
from processor_service.scratch import Scratch
from processor_service.settings import ProcessorSettings
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.stages.summarize import Summarizer
from processor_service.tasks.leases import Leases
from processor_service.tasks.publish_windows import WindowPublisher
from processor_service.tasks.retry import RetryPolicy
from processor_service.webhooks.event_tests import EventTester
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import RedisShards, Shards
from shared.job_hints import JobHints
from shared.schemas.states import TaskKind


class Processor(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that tasks need. A process has one."""

    name: str
    settings: ProcessorSettings
    database: asyncpg.Pool
    redis: RedisShards
    blobs: BlobStore
    models: ModelCache
    scratch: Scratch
    disks: Disks
    compute: ComputePool
    leases: Leases
    due: DueTimes
    leader: Leader
    hints: JobHints
    dead_letters: DeadLetterList
    http: aiohttp.ClientSession
    event_tests: EventTester
    results: ResultWriter
    sources: SourceFetcher
    providers: tuple[OpenAIApi, ...]
    summaries: Summarizer
    windows: Shards[WindowPublisher]

    def policy(self, kind: TaskKind) -> RetryPolicy:
        """Return the retry policy: days for a webhook endpoint, a minute for our own components."""
        if kind is TaskKind.DELIVER:
            waits_s = self.settings.webhook_waits_s
            return RetryPolicy(waits_s=waits_s, longest_retry_after_s=24 * 3600, retry_after_shortens=False)
        return RetryPolicy(waits_s=self.settings.retry_waits_s, longest_retry_after_s=600)
