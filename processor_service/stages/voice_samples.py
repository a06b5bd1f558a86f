"""Make the embedding of a voice from a sample of its speech, in a compute child. No audio is kept."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.audio.scratch_files import WriteLimits
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkWritten, EmbedSample, Prepared, Reply, SampleEmbedded, SplitSource
from processor_service.compute.pool import Slot
from processor_service.diarization.known_voices import MIN_SAMPLE_S
from processor_service.diarization.weights import SpeakerWeights
from processor_service.errors import ChildCrashError, PermanentError
from processor_service.settings import ProcessorSettings
from processor_service.stages import time_limits
from processor_service.stages.derived_bytes import budget_bytes
from processor_service.stages.voice_store import SampleError, SampleSource
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.schemas.job_parts import Part
from shared.schemas.known_speakers import Times, VoiceSample

BEGINNING: Times = ((0.0, 120.0),)  # the sample without `times`
UNDIVIDED_S = 1e9  # longer than any audio


class Sampler(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to read samples."""

    slot: Slot
    blobs: BlobStore
    settings: ProcessorSettings
    weights: SpeakerWeights
    scratch: Path

    async def embed(self, source: SampleSource, samples: Sequence[VoiceSample]) -> list[SampleEmbedded]:
        """Return the voices of samples of one source. Raise SampleError for audio that cannot be read."""
        folder = Path(tempfile.mkdtemp(prefix="sample-", dir=self.scratch))
        spans = [sample.times or BEGINNING for sample in samples]
        try:
            chunk = await self._decoded(source, folder, until_s=max(end for each in spans for _, end in each))
            return [await self._embed(chunk, each) for each in spans]
        except (BlobNotFoundError, PermanentError) as error:
            why = error.message if isinstance(error, PermanentError) else "The audio of the sample is not stored."
            raise SampleError(why) from error
        except ChildCrashError as error:  # only the sample cannot be read; the next request gets another child
            raise SampleError("The sample could not be read.") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _decoded(self, source: SampleSource, folder: Path, *, until_s: float) -> ChunkFile:
        size = await self.blobs.size(source.key)
        if size > self.settings.max_upload_bytes:
            raise SampleError("The sample is too large.")
        path = self.blobs.local_path(source.key)
        if path is None:
            path = folder / "source"
            await self.blobs.download(source.key, path)
        request = SplitSource(
            source_path=str(path),
            out_dir=str(folder),
            threshold_s=UNDIVIDED_S,
            chunk_s=self.settings.chunk_s,
            max_audio_s=self.settings.max_audio_seconds,
            track=source.track,
            part=Part(0.0, until_s),
        )
        chunks: list[ChunkFile] = []

        async def written(reply: Reply) -> None:
            if isinstance(reply, ChunkWritten):
                chunks.append(reply.chunk)

        writes = WriteLimits(most_bytes=budget_bytes(self.settings, size), min_free_bytes=self.settings.min_free_bytes)
        time_limit = time_limits.splitting(self.settings, source_bytes=size)
        await self.slot.ask(request, Prepared, time_limit=time_limit, writes=writes, on_reply=written)
        return chunks[0]

    async def _embed(self, chunk: ChunkFile, spans: Times) -> SampleEmbedded:
        request = EmbedSample(chunk=chunk, spans=spans, weights=self.weights, threads=self.slot.threads)
        seconds = sum(end - start for start, end in spans)
        time_limit = time_limits.processing(self.settings, audio_s=seconds)
        writes = WriteLimits(most_bytes=0, min_free_bytes=self.settings.min_free_bytes)
        return await self.slot.ask(request, SampleEmbedded, time_limit=time_limit, writes=writes)


def require_enough(sample: SampleEmbedded) -> bytes:
    """Return the embedding. Raise SampleError if the sample has too little speech."""
    if sample.speech_s < MIN_SAMPLE_S:
        raise SampleError(
            f"The sample has {sample.speech_s:.1f} s of clear speech of one voice. It needs {MIN_SAMPLE_S:g} s."
        )
    return sample.embedding
