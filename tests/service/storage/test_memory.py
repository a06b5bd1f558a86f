"""Blobs of any size are written and read in constant memory."""

import asyncio
import sys
from asyncio.subprocess import PIPE

from tests.support.storage.stores import Store

BLOB_MIB = 128
LIMIT_MIB = 64


async def test_a_large_blob_needs_constant_memory(s3: Store) -> None:
    command = [sys.executable, "-m", "tests.support.storage.pass_through", s3.url, str(BLOB_MIB)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    growth_mib = float(printed)
    print(f"{BLOB_MIB} MiB to S3 and back: {growth_mib} MiB more")
    assert growth_mib < LIMIT_MIB
