"""`run`: the stack, until a signal stops it. Says when uploads are taken, and when a processor takes tasks."""

import asyncio
import socket
from collections.abc import Mapping

from redis.exceptions import RedisError

from deploy.local.data_dir import DataDir
from deploy.local.settings import LOCAL_ENGINES, Choices, base_url
from deploy.local.stack import running_stack
from deploy.local.terminal import say
from ingest_service.open_redis import open_redis
from shared.queue.dispatch import COMPUTE_QUEUE, arq_health_key, processor_name

LOOK_EVERY_S = 0.2
REDIS_TIMEOUT_S = 2.0


async def run(choices: Choices) -> None:
    """Run the stack until cancelled."""
    async with running_stack(choices) as settings:
        data_dir = DataDir(choices.data_dir)
        if choices.processors:
            say(_loading(settings, choices.processors))
            await _until_one_takes_tasks(settings["HEADRACE_REDIS_URL"], data_dir)
        _greet(settings, data_dir, choices.processors)
        await asyncio.Event().wait()


def _loading(settings: Mapping[str, str], processors: int) -> str:
    who = "The processor is" if processors == 1 else "The processors are"
    model = f" the model {settings['HEADRACE_MODEL']}" if settings["HEADRACE_TRANSCRIBER"] in LOCAL_ENGINES else ""
    return f"Uploads are taken at {base_url(settings)}/v1/jobs. {who} still loading{model}."


async def _until_one_takes_tasks(redis_url: str, data_dir: DataDir) -> None:
    """Return when a running processor has polled its queue; it starts to poll when its model is loaded.

    A processor that dies before that is restarted by its supervisor, with a new process id.
    """
    async with open_redis(redis_url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S) as redis:
        while True:
            keys = [_health_key(pid) for pid in data_dir.processor_pids()]
            try:
                if keys and await redis.exists(*keys):
                    return
            except (RedisError, OSError):
                pass  # Redis is supervised, too
            await asyncio.sleep(LOOK_EVERY_S)


def _health_key(pid: int) -> str:
    return arq_health_key(COMPUTE_QUEUE, processor_name(socket.gethostname(), pid))


def _greet(settings: Mapping[str, str], data_dir: DataDir, processors: int) -> None:
    url = base_url(settings)
    say("")
    say(f"Headrace is ready:  {url}/v1/jobs")
    say(f"  API description   {url}/schema")
    say(f"  health            {url}/health/ready")
    say(f"  settings in force {data_dir.stack_env}")
    if not processors:
        say("No processor runs here (PROCESSORS=0): jobs wait for one that runs elsewhere.")
    say("Ctrl-C stops it.")
