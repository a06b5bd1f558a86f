"""Submits, polls, reads and cancels with the client that openapi-python-client generated from the document.

Run as a program with `headrace_client` on its path: URL and audio file. Prints one JSON object.
"""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from headrace_client import Client
from headrace_client.api.jobs import cancel_job, get_job, submit_job, submit_remote_job
from headrace_client.api.results import get_audio, get_transcript, get_transcript_text
from headrace_client.models import GetTranscriptTextFormat, Language, SubmitForm, SubmitFormMetadata, SubmitUrl
from headrace_client.types import File

POLL_S = 0.1


def main(url: str, audio: bytes) -> dict[str, Any]:
    with Client(base_url=url, raise_on_unexpected_status=True) as client:
        form = SubmitForm(
            audio_file=File(io.BytesIO(audio), "clip.flac"),
            language=Language.EN,
            denoise=False,
            metadata=SubmitFormMetadata.from_dict({"call": 4711}),
        )
        job_id = submit_job.sync(client=client, body=form).job_id
        while (job := get_job.sync(job_id, client=client)).status in {"QUEUED", "PROCESSING"}:
            time.sleep(POLL_S)
        texts = {
            wanted: get_transcript_text.sync(job_id, client=client, format_=GetTranscriptTextFormat(wanted))
            for wanted in ("txt", "srt", "vtt")
        }
        another = submit_job.sync(client=client, body=File(io.BytesIO(audio))).job_id
        remote = submit_remote_job.sync(client=client, body=SubmitUrl(audio_url="https://example.invalid/a.mp3"))
        cancel_job.sync(remote.job_id, client=client)
        return {
            "status": job.status,
            "metadata": job.metadata,
            "text": get_transcript.sync(job_id, client=client).text,
            **texts,
            "audio_bytes": len(get_audio.sync(job_id, client=client).payload.read()),
            "cancelled": cancel_job.sync(another, client=client).status,
            "remote": remote.status,
            "problem": get_job.sync("0", client=client).code,
        }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]).read_bytes())))
