"""`dead-letters`: prints what the running stack gave up on, one JSON object a line, oldest first."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.errors import LocalStackError
from deploy.local.settings import Choices
from deploy.local.terminal import say
from shared.schemas.failures import DEAD_LETTER_LIST


async def print_dead_letters(choices: Choices) -> None:
    """Print the list of the stack that runs on DATA_DIR; nothing when it is empty."""
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    try:
        async with Redis.from_url(settings["HEADRACE_REDIS_URL"], decode_responses=True) as redis:
            entries: list[str] = await redis.lrange(DEAD_LETTER_LIST, 0, -1)
    except RedisError as error:
        raise LocalStackError(f"Redis does not answer: {error}") from error
    for entry in entries:
        say(entry)
