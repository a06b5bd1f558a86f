"""`run`: run the stack until a signal stops it. Prints when it accepts uploads and when a processor takes tasks."""

import asyncio
import socket
from collections.abc import Mapping
from functools import partial

from deploy.local.data_dir import DataDir
from deploy.local.settings import Choices, base_url
from deploy.local.stack import running_stack
from deploy.local.terminal import say
from processor_service.transcribers.engines import needs_weights
from shared.connections.redis import Redis
from shared.connections.redis_shards import ask_each, open_redis_shards
from shared.queue.dispatch import COMPUTE_QUEUE, arq_health_key, processor_name

LOOK_EVERY_S = 0.2
REDIS_TIMEOUT_S = 2.0


async def run(choices: Choices) -> None:
    """Run the stack until cancelled."""
    async with running_stack(choices) as settings:
        data_dir = DataDir(choices.data_dir)
        if choices.processors:
            say(_loading(settings, choices.processors))
            await _wait_for_processor(settings["HEADRACE_REDIS_URL"], data_dir)
        _print_summary(settings, data_dir, choices.processors)
        await asyncio.Event().wait()


def _loading(settings: Mapping[str, str], processors: int) -> str:
    subject = "The processor is" if processors == 1 else "The processors are"
    model = f" the model {settings['HEADRACE_MODEL']}" if needs_weights(settings["HEADRACE_TRANSCRIBER"]) else ""
    return f"Uploads are accepted at {base_url(settings)}/v1/jobs. {subject} still loading{model}."


async def _wait_for_processor(redis_url: str, data_dir: DataDir) -> None:
    """Return when a running processor has polled its queue, which it does once its model is loaded.

    A processor that dies earlier is restarted with a new process id.
    """
    async with open_redis_shards(
        redis_url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
    ) as shards:
        while True:
            keys = [_health_key(pid) for pid in data_dir.processor_pids()]
            if keys:
                answers = await ask_each(shards, partial(_count_keys, keys=keys))
                if any(answers.by_shard.values()):  # a Redis that does not answer is supervised and restarts
                    return
            await asyncio.sleep(LOOK_EVERY_S)


async def _count_keys(redis: Redis, keys: list[str]) -> int:
    count: int = await redis.exists(*keys)
    return count


def _health_key(pid: int) -> str:
    return arq_health_key(COMPUTE_QUEUE, processor_name(socket.gethostname(), pid))


def _print_summary(settings: Mapping[str, str], data_dir: DataDir, processors: int) -> None:
    url = base_url(settings)
    say("")
    say(f"Headrace is ready:  {url}/v1/jobs")
    say(f"  console           {url}/")
    say(f"  OpenAI clients    base URL {url}/v1")
    say(f"  API description   {url}/docs and {url}/schema")
    say(f"  health            {url}/health/ready")
    say(f"  settings          {data_dir.stack_env}")
    if not processors:
        say("No processor runs here (PROCESSORS=0). Jobs wait for a processor on another machine.")
    say("Press Ctrl-C to stop.")
