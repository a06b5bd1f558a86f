"""The corrections as the console holds and sends them, run by Node.js."""

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from shared.schemas.transcript_edits import NewEdits, NewSegmentEdit, NewWordEdit

HERE = Path(__file__).parent
MODULE = HERE.parents[2] / "ingest_service/console/job/edit-content.js"
TIMEOUT_S = 60

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not shutil.which("node"), reason="these tests need Node.js, which is not installed"),
]


def run(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_module() -> None:
    run("node", "--test", HERE / "edits/edit-content.test.mjs")


def test_the_service_accepts_what_the_console_sends() -> None:
    script = f"""
        import {{ bodyOf, NO_EDITS, withEntry, wordKey }} from {json.dumps(str(MODULE))};
        let content = withEntry(NO_EDITS, "words", wordKey(1, 2), "日本 語");
        content = withEntry(content, "names", "SPEAKER_00", "Zoë <b>");
        content = withEntry(withEntry(content, "speakers", 3, "SPEAKER_00"), "texts", 4, "");
        process.stdout.write(JSON.stringify(bodyOf(content, 7)));
    """
    body = run("node", "--input-type=module", "-", stdin=script)
    assert msgspec.json.decode(body, type=NewEdits) == NewEdits(
        base_version=7,
        speakers={"SPEAKER_00": "Zoë <b>"},
        words=(NewWordEdit(segment=1, word=2, text="日本 語"),),
        segments=(NewSegmentEdit(segment=4, text=""), NewSegmentEdit(segment=3, speaker="SPEAKER_00")),
    )
