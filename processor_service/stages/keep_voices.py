"""Read the samples of new voices, and keep their embeddings. The database is the queue: requests are few and bounded.

A sample is read by one processor at a time; `attempts` fences its writes. One whose processor dies is read again.
"""

import asyncio
from typing import Any

import asyncpg
import msgspec

from processor_service.compute.pool import ComputePool
from processor_service.diarization.weights import SpeakerWeights, find_weights
from processor_service.errors import TaskError
from processor_service.models.cache import ModelCache
from processor_service.scratch import Scratch
from processor_service.settings import ProcessorSettings
from processor_service.stages.voice_samples import Sampler, require_enough
from processor_service.stages.voice_store import SampleError, VoiceStore
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.schemas.known_speakers import VoiceSample
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

EVERY_S = 2.0
CLAIMED_S = 600.0  # a sample takes seconds; its audio may have hours before it
MOST_ATTEMPTS = 3
UNREADABLE = "An internal error stopped the processing of the sample."

# The oldest of each tenant come first.
CLAIM = """
UPDATE voices SET claimed_until = now() + make_interval(secs => $1), attempts = attempts + 1
WHERE id = (
    SELECT id FROM (
        SELECT id, claimed_until, row_number() OVER (PARTITION BY tenant ORDER BY id) AS turn FROM voices
        WHERE sample IS NOT NULL
    ) AS waiting WHERE claimed_until IS NULL OR claimed_until < now() ORDER BY turn, id LIMIT 1
) AND (claimed_until IS NULL OR claimed_until < now())
RETURNING id, tenant, sample, attempts
"""
KEEP = """
UPDATE voices SET embedding = $3, speech_s = $4, failure = $5, sample = NULL, claimed_until = NULL
WHERE id = $1 AND attempts = $2 AND sample IS NOT NULL
"""
AGAIN_AFTER_S = 30.0
RELEASE = """
UPDATE voices SET claimed_until = now() + make_interval(secs => $3) WHERE id = $1 AND attempts = $2
"""


class VoiceKeeper(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to read samples beside the tasks."""

    database: asyncpg.Pool
    compute: ComputePool
    blobs: BlobStore
    models: ModelCache
    scratch: Scratch
    settings: ProcessorSettings

    async def run(self) -> None:
        """Read what waits, one sample at a time, until cancelled."""
        outages = Outages(log, "voices_not_read", "voices_read_again")
        while True:
            try:
                while await self.read_one():
                    pass
            except Exception as error:  # noqa: BLE001 - the loop must survive every outage
                outages.failed(error)
            else:
                outages.worked()
            await asyncio.sleep(EVERY_S)

    async def read_one(self) -> bool:
        """Read the next sample. Return whether there was one. A processor without the nets reads none."""
        weights = find_weights(self.models.folder)
        claimed = await self.database.fetchrow(CLAIM, CLAIMED_S) if weights else None
        if claimed is None or weights is None:
            return False
        embedding, speech_s, failure = await self._read(claimed, weights)
        fence = claimed["id"], claimed["attempts"]
        if failure or embedding:
            await self.database.execute(KEEP, *fence, embedding, speech_s, failure)
        else:
            await self.database.execute(RELEASE, *fence, AGAIN_AFTER_S)
        log.info("voice_read", voice_id=str(claimed["id"]), speech_s=speech_s, failure=failure)
        return True

    async def _read(self, claimed: Any, weights: SpeakerWeights) -> tuple[bytes | None, float | None, str | None]:
        """Return the embedding, its seconds of speech, and why there is none. All None: it is read again later."""
        sample = msgspec.json.decode(claimed["sample"], type=VoiceSample)
        try:
            source = await VoiceStore(self.database, claimed["tenant"]).source_of(sample)
            async with asyncio.timeout(CLAIMED_S), self.compute.slot() as slot:
                with self.scratch.task_folder() as folder:
                    sampler = Sampler(
                        slot=slot, blobs=self.blobs, settings=self.settings, weights=weights, scratch=folder
                    )
                    (embedded,) = await sampler.embed(source, [sample])
            return require_enough(embedded), embedded.speech_s, None
        except SampleError as error:
            return None, None, str(error)
        except (TaskError, BlobStoreError, TimeoutError) as error:
            log.warning("voice_not_read", voice_id=str(claimed["id"]), error=f"{type(error).__name__}: {error}")
            return None, None, UNREADABLE if claimed["attempts"] >= MOST_ATTEMPTS else None
