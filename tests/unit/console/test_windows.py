"""The console's state over sessions and streams of events, run by Node.js with the browser's modules."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ingest_service.console_files import CONSOLE, LIST, MODULES

HERE = Path(__file__).parent
NODE = shutil.which("node") or ""
TIMEOUT_S = 60

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not NODE, reason="these tests need Node.js, which is not installed"),
    pytest.mark.skipif(not (MODULES / LIST).exists(), reason="these tests need the modules of `make browser-modules`"),
]


@pytest.mark.parametrize("name", ["job-list", "sessions"])
def test_the_modules(name: str, tmp_path: Path) -> None:
    """The files lie as the service serves them: the modules below the console."""
    shutil.copytree(CONSOLE, tmp_path / "console")
    shutil.copytree(MODULES, tmp_path / "console/modules")
    for path in HERE.glob("*.mjs"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    done = subprocess.run(
        [NODE, "--test", f"{name}.test.mjs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
