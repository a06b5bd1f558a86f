"""schemathesis makes valid and invalid requests from the OpenAPI document and checks the answers against it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import serving
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import ROOT

CONFIG = ROOT / "tests/support/ingest/schemathesis.toml"
SEED = os.environ.get("FUZZ_SEED", "5")  # `make fuzz` sets others
EXAMPLES = 15  # of each operation and phase
TIMEOUT_S = 600
WAIT_S = 0.01  # no processor runs, so that requests that wait for their job get 503


PHASES = [pytest.param("examples,coverage", marks=pytest.mark.slow), "fuzzing", "stateful"]


@pytest.mark.fuzz
@pytest.mark.parametrize("phases", PHASES)
async def test_every_answer_matches_the_document(settings: IngestSettings, tmp_path: Path, phases: str) -> None:
    async with serving(settings, wait_max_s=WAIT_S, voices=True) as ingest:
        await ingest.submit(wav())
        status, said = await run_schemathesis(f"{ingest.url}/schema/openapi.json", tmp_path, phases)
    assert status == 0, said


@pytest.mark.slow
async def test_requests_without_a_valid_key_are_refused(settings: IngestSettings, tmp_path: Path) -> None:
    """Its check `ignored_auth` sends each request again without the key, and with a wrong one."""
    key = (await new_key(settings, "acme")).key
    async with guarded(settings, wait_max_s=WAIT_S, voices=True) as ingest:
        await ingest.post(wav(), headers=WAV_TYPE | bearer(key))
        status, said = await run_schemathesis(
            f"{ingest.url}/schema/openapi.json",
            tmp_path,
            "fuzzing",
            *("--header", f"Authorization: Bearer {key}"),
            checks="ignored_auth,not_a_server_error,status_code_conformance,response_schema_conformance",
        )
    assert status == 0, said


async def run_schemathesis(
    url: str, folder: Path, phases: str, *more: str, checks: str = "all"
) -> tuple[int | None, str]:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", url),
        *("--checks", checks, "--phases", phases, "--mode", "all", "--max-examples", str(EXAMPLES)),
        *("--seed", SEED, "--suppress-health-check", "all", "--continue-on-failure", *more),
        *("--generation-database", "none", "--no-color"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},  # where the hooks are
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(run.communicate(), TIMEOUT_S)
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    return run.returncode, said.decode()
