"""The usual upload endpoint: FastAPI with a plain function, which runs in a thread pool.

shutil copies the `UploadFile` to disk, psycopg's pool inserts a row, Celery enqueues in Redis. No worker runs.

`uvicorn tests.tools.benchmarks.ingest.usual_stack:app`; it reads DATABASE_URL, REDIS_URL and UPLOAD_FOLDER.
"""

import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, UploadFile
from psycopg_pool import ConnectionPool

from tests.tools.benchmarks.ingest.usual_queue import transcribe
from tests.tools.benchmarks.ingest.usual_table import INSERT, POOL_SIZE

FOLDER = Path(os.environ["UPLOAD_FOLDER"])
pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE, open=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    pool.open()
    yield
    pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/jobs", status_code=202)
def submit(audio_file: UploadFile) -> dict[str, str]:
    job_id = str(uuid.uuid4())
    path = FOLDER / job_id
    with path.open("wb") as file:
        shutil.copyfileobj(audio_file.file, file)
    with pool.connection() as connection:
        connection.execute(INSERT, (job_id, audio_file.filename, audio_file.content_type, str(path), audio_file.size))
    transcribe.delay(job_id)
    return {"job_id": job_id, "status": "QUEUED"}
