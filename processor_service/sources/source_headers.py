"""The headers with which a client's `audio_url` is requested: sealed in the database until the source is stored."""

from collections.abc import Mapping

import asyncpg

from processor_service.errors import PermanentError
from processor_service.tasks.claim import ClaimedTask
from shared.job_changes import FORGET_HEADERS
from shared.schemas.failures import FailureCode
from shared.schemas.source_headers import decode_headers
from shared.sealed import NotOpenedError, open_seal
from shared.secret import Secret

READ_HEADERS = "SELECT sealed FROM source_headers WHERE job_id = $1"


class SourceHeaders:
    """The headers of all jobs. For a job without them, nothing is asked."""

    def __init__(self, pool: asyncpg.Pool, keys: Secret) -> None:
        self._pool = pool
        self._seal = open_seal(keys)

    async def read(self, task: ClaimedTask) -> Mapping[str, str]:
        """Return the headers of a job, by names in lower case. Raise PermanentError if they are gone."""
        if not task.options.audio_headers:
            return {}
        sealed = await self._pool.fetchval(READ_HEADERS, task.job_id)
        if sealed is None:
            raise _gone("are erased")
        if self._seal is None:
            raise _gone("cannot be decrypted: the processor has no HEADRACE_ENCRYPTION_KEYS")
        try:
            return decode_headers(self._seal.open(sealed, str(task.job_id)))
        except NotOpenedError:
            raise _gone("cannot be decrypted: the key was removed") from None

    async def forget(self, task: ClaimedTask) -> None:
        """Erase the headers of a job whose source is stored."""
        if task.options.audio_headers:
            await self._pool.execute(FORGET_HEADERS, [task.job_id])


def _gone(why: str) -> PermanentError:
    message = f"The `audio_headers` of this job {why}. Submit the job again."
    return PermanentError(FailureCode.SOURCE_HEADERS_ERASED, message)
