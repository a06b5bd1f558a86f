"""`redrive`: has the running stack work again on what it gave up on: JOB=<id>, JOB=all, or all of one CODE."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.errors import LocalStackError
from deploy.local.settings import Choices, base_url
from deploy.local.terminal import say

ALL = "all"
TIMEOUT = aiohttp.ClientTimeout(total=3600)  # a hundred thousand dead letters take minutes


async def redrive(choices: Choices) -> None:
    """Redrive what was chosen and say what came of it; raises LocalStackError."""
    path = URL(_path(choices.job, choices.code), encoded=True)
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    say(_in_words(await _post(base_url(settings), path, choices.api_key)))


def _path(job: str, code: str) -> str:
    if job and job != ALL:
        if code:
            raise LocalStackError("Give JOB=<id> or CODE=<failure code>, not both.")
        return f"/v1/dead-letters/{quote(job, safe='')}/redrive"
    if not (job or code):
        raise LocalStackError("Say what to redrive: make redrive JOB=<id>, JOB=all, or CODE=<failure code>.")
    return "/v1/dead-letters/redrive" + (f"?{urlencode({'code': code})}" if code else "")


async def _post(url: str, path: URL, api_key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        async with aiohttp.ClientSession(url, timeout=TIMEOUT, headers=headers) as client, client.post(path) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise LocalStackError(f"The ingest service at {url} does not answer: {error}") from error
    if answer.status >= 400:
        raise LocalStackError(f"Not redriven: {body.get('detail', answer.status)}")
    return body


def _in_words(answer: Mapping[str, Any]) -> str:
    if "job_id" in answer:
        return f"redriven: job {answer['job_id']} is {answer['status']}"
    return f"redriven: {answer['redriven']} dead letters"
