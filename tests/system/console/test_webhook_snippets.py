"""The code that the page webhooks shows verifies real signatures, and refuses every other event."""

import base64
import datetime as dt
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from processor_service.webhooks.deliver import signed_headers
from shared.schemas.failures import FailureCode
from shared.secret import Secret
from tests.support.documents.markdown import blocks
from tests.support.stack.launched import ROOT

CONSOLE = ROOT / "ingest_service/console"
SECRET, PREVIOUS, FOREIGN = (f"whsec_{base64.b64encode(one * 32).decode()}" for one in (b"n", b"o", b"f"))
BODY = '{"type":"job.completed","data":{"job_id":"größe  %s"}}'
RUN_NODE = """
import { receive } from "./snippet.mjs";
const { body, headers } = JSON.parse(process.argv[2]);
console.log(receive(body, headers).data.job_id);
"""

Verify = Callable[[str, dict[str, str]], str]  # returns what was verified; raises


def snippet(name: str) -> str:
    text = (CONSOLE / "webhooks/snippets.js").read_text()
    found = re.search(rf"^const {name} = String\.raw`(.*?)`;$", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def headers_of(*secrets: str, at: dt.datetime | None = None) -> dict[str, str]:
    return signed_headers([Secret(one) for one in secrets], "evt_1", BODY, at=at or dt.datetime.now(dt.UTC))


def verify_in_python(body: str, headers: dict[str, str]) -> str:
    names: dict[str, Callable[..., tuple[str, str]]] = {}
    exec(snippet("PYTHON").replace("whsec_…", SECRET), names)  # noqa: S102 - our own snippet
    return names["receive"](body, headers)[1]


@pytest.fixture(params=["node", "shell"])
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Verify:
    if request.param == "node":
        if not (node := shutil.which("node")):
            pytest.skip("This machine has no Node.js.")
        (tmp_path / "snippet.mjs").write_text(snippet("NODE").replace("whsec_…", SECRET))
        (tmp_path / "run.mjs").write_text(RUN_NODE)
        return lambda body, headers: _run(
            [node, str(tmp_path / "run.mjs"), msgspec.json.encode({"body": body, "headers": headers}).decode()],
            tmp_path,
        )
    if not shutil.which("openssl"):
        pytest.skip("This machine has no openssl.")
    return lambda body, headers: _verify_in_shell(body, headers, tmp_path)


def _verify_in_shell(body: str, headers: dict[str, str], folder: Path) -> str:
    values = {name: headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")} | {"secret": SECRET}
    script = snippet("SHELL")
    for name, value in values.items():
        script = re.sub(rf"^{name}=.*$", f"{name}='{value}'", script, flags=re.MULTILINE)
    (folder / "body.json").write_text(body)
    assert _run(["sh", "-c", script], folder) == "verified"
    return str(msgspec.json.decode(body)["data"]["job_id"])


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise WebhookVerificationError(done.stderr)
    return done.stdout.strip()


def test_the_python_is_that_of_the_readme() -> None:
    *_, receiving = blocks(ROOT / "README.md", "python")
    assert snippet("PYTHON").strip() == receiving.text.strip()


def test_python_verifies_and_refuses() -> None:
    assert verify_in_python(BODY, headers_of(SECRET)) == "größe  %s"
    with pytest.raises(WebhookVerificationError):
        verify_in_python(BODY + " ", headers_of(SECRET))


@pytest.mark.process
def test_a_signed_event_is_verified(verify: Verify) -> None:
    assert verify(BODY, headers_of(SECRET)) == "größe  %s"
    assert verify(BODY, headers_of(PREVIOUS, SECRET)) == "größe  %s"


@pytest.mark.process
def test_any_other_event_is_refused(verify: Verify) -> None:
    good = headers_of(SECRET)
    for body, headers in (
        (BODY + " ", good),
        (BODY, headers_of(FOREIGN)),
        (BODY, {**good, "webhook-id": "evt_2"}),
        (BODY, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        (BODY, {**good, "webhook-signature": "v1,"}),
        (BODY, {**good, "webhook-signature": "v1," + "A" * 43 + "="}),
    ):
        with pytest.raises(WebhookVerificationError):
            verify(body, headers)


def test_each_failure_code_has_the_words_of_the_table() -> None:
    """The page dead-letters shows what docs/api.md says."""
    section = re.search(
        r"^  failures: \{\n(.*?)^  \},$", (CONSOLE / "strings.js").read_text(), re.DOTALL | re.MULTILINE
    )
    assert section
    shown = dict(re.findall(r'^    ([a-z_]+): "(.*)",$', section[1], re.MULTILINE))
    table = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", (ROOT / "docs/api.md").read_text(), re.MULTILINE))
    assert shown == {str(code): table[code] for code in FailureCode}
