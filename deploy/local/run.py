"""`run`: the stack, until somebody stops it."""

import asyncio
from collections.abc import Mapping

from deploy.local.data_dir import DataDir
from deploy.local.settings import Choices, base_url
from deploy.local.stack import running_stack
from deploy.local.terminal import say


async def run(choices: Choices) -> None:
    """Run the stack until cancelled."""
    async with running_stack(choices) as settings:
        _greet(settings, DataDir(choices.data_dir))
        await asyncio.Event().wait()


def _greet(settings: Mapping[str, str], data_dir: DataDir) -> None:
    url = base_url(settings)
    say("")
    say(f"Headrace is ready:  {url}/v1/jobs")
    say(f"  API description   {url}/schema")
    say(f"  health            {url}/health/ready")
    say(f"  settings in force {data_dir.stack_env}")
    say("Ctrl-C stops it.")
