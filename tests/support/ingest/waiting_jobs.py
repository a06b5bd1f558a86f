"""Jobs that requests wait for: find them, and end them as the processor does."""

from uuid import UUID

import msgspec

from shared.blobs import blob_keys
from shared.schemas.transcript import Segment, Transcript, Word
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until

TRANSCRIPT = Transcript(
    text="Hello there. Good day.",
    language="en",
    duration=2.5,
    segments=(
        Segment(
            id=0,
            start=0.1,
            end=1.0,
            text="Hello there.",
            speaker="SPEAKER_01",
            confidence=0.5,
            no_speech_prob=0.01,
            words=(
                Word(word="Hello", start=0.1, end=0.5, confidence=0.5),
                Word(word="there.", start=0.5, end=1.0, confidence=0.5),
            ),
        ),
        Segment(id=1, start=1.2, end=2.4, text="Good day.", speaker="SPEAKER_00", confidence=0.9, no_speech_prob=0.02),
    ),
)


async def new_job(ingest: Ingest, number: int = 1) -> str:
    """The id of the newest job, when there are so many."""

    async def there() -> bool:
        return await ingest.job_count() == number

    await until(there)
    return str((await ingest.sql("SELECT id FROM jobs ORDER BY id DESC LIMIT 1"))[0]["id"])


async def complete(ingest: Ingest, job_id: str, transcript: Transcript = TRANSCRIPT) -> None:
    await ingest.blobs.put(blob_keys.transcript(UUID(job_id), 1), msgspec.json.encode(transcript))
    await records.complete(ingest, job_id)
