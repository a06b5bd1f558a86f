"""A bare ASGI application that only writes the body to a file: the upper bound for a Python ASGI server.

`uvicorn tests.tools.benchmarks.ingest.bare_sink:app`, with SINK_FOLDER in the environment.
"""

import os
import uuid
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["SINK_FOLDER"])
HEADERS = [(b"content-type", b"application/json")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    name = str(uuid.uuid4())
    status, body = 404, b"{}"
    if scope["method"] == "POST":
        with (FOLDER / name).open("wb", buffering=0) as file:  # written to the page cache at once
            more = True
            while more:
                message = await receive()
                file.write(message.get("body", b""))
                more = message.get("more_body", False)
        status, body = 202, b'{"job_id":"%s"}' % name.encode()
    headers = [*HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
