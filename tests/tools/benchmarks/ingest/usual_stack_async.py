"""The usual upload endpoint as a coroutine: aiofiles copies the `UploadFile`; psycopg's asynchronous pool inserts.

`delay` blocks the event loop for a round trip to Redis: Celery has no asynchronous client, and a thread costs more.
Otherwise as usual_stack.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiofiles
from fastapi import FastAPI, UploadFile
from psycopg_pool import AsyncConnectionPool

from tests.tools.benchmarks.ingest.usual_queue import transcribe
from tests.tools.benchmarks.ingest.usual_table import INSERT, POOL_SIZE

FOLDER = Path(os.environ["UPLOAD_FOLDER"])
COPY_BYTES = 1 << 20
pool = AsyncConnectionPool(os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE, open=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await pool.open()
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/jobs", status_code=202)
async def submit(audio_file: UploadFile) -> dict[str, str]:
    job_id = str(uuid.uuid4())
    path = FOLDER / job_id
    async with aiofiles.open(path, "wb") as file:
        while piece := await audio_file.read(COPY_BYTES):
            await file.write(piece)
    async with pool.connection() as connection:
        row = (job_id, audio_file.filename, audio_file.content_type, str(path), audio_file.size)
        await connection.execute(INSERT, row)
    transcribe.delay(job_id)
    return {"job_id": job_id, "status": "QUEUED"}
