"""The pure modules of the job page, run by Node.js: the word of a moment, the list, the waveform, the snippets."""

import ast
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = HERE.parents[2] / "ingest_service/console/job"
TIMEOUT_S = 60

NASTY = [
    "talk.mp3",
    'it\'s "quoted" $HOME `id` \\n %s !x.wav',
    "two\nlines\t.wav",
    "\u202eexe.wav",
    "日本語 😀.wav",
    "\x1b[2J.wav",
    ";rm -rf *;type=x.wav",
]

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not shutil.which("node"), reason="these tests need Node.js, which is not installed"),
]


def run(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["words", "list-geometry", "recording"])
def test_module(name: str) -> None:
    run("node", "--test", HERE / f"job/{name}.test.mjs")


def snippets(**job: Any) -> dict[str, str]:
    """Return the snippets that the page shows for a job."""
    defaults: dict[str, Any] = {
        "origin": "http://h:1",
        "filename": "a.wav",
        "format": "wav",
        "options": {},
        "metadata": None,
    }
    script = f"""
        import {{ snippetsOf }} from {json.dumps(str(MODULES / "snippets.js"))};
        process.stdout.write(JSON.stringify(snippetsOf({json.dumps(defaults | job)})));
    """
    found: dict[str, str] = json.loads(run("node", "--input-type=module", "-", stdin=script))
    return found


def words_of(snippet: str) -> list[str]:
    """Return the arguments that a shell passes to curl."""
    script = "curl() { printf '%s\\0' \"$@\"; }; HEADRACE_KEY=hr_k WEBHOOK_URL='http://w/?a=1&b=2'\n" + snippet
    return run("bash", "-c", script).split("\0")[:-1]


def literals(snippet: str) -> list[str]:
    """Return the strings in a Python snippet, in order."""
    nodes = (node.value for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Constant))
    return [value for value in nodes if isinstance(value, str)]


@pytest.mark.parametrize("text", NASTY)
def test_whatever_a_name_or_a_prompt_holds_is_one_word_of_the_shell_and_one_string_of_python(text: str) -> None:
    made = snippets(filename=text, options={"prompt": text}, metadata={"name": text})
    metadata = json.dumps({"name": text}, ensure_ascii=False, separators=(",", ":"))
    url, file_option, file, *fields = words_of(made["curl"])
    assert (url, file_option) == ("http://h:1/v1/jobs", "-F")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"') if "\\" not in text else None
    assert quoted is None or file == f'audio_file=@"{quoted}"'
    assert fields[:2] == ["--form-string", f"prompt={text}"]
    assert json.loads(fields[3].removeprefix("metadata=")) == {"name": text}
    strings = literals(made["python"])
    assert text in strings
    assert any(one == metadata or text in one for one in strings)


@pytest.mark.parametrize("text", NASTY)
def test_no_character_of_a_snippet_is_hidden(text: str) -> None:
    made = snippets(filename=text, options={"prompt": text})
    shown = made["curl"] + made["python"]
    assert not any(one != "\n" and (ord(one) < 0x20 or one in "\x7f\u202e") for one in shown)


def test_the_key_and_the_webhook_are_variables() -> None:
    made = snippets(needsKey=True, hasWebhook=True)
    assert "hr_" not in made["curl"] + made["python"]
    words = words_of(made["curl"])
    assert "Authorization: Bearer hr_k" in words
    assert "webhook_url=http://w/?a=1&b=2" in words
    assert "os.environ['HEADRACE_KEY']" in made["python"]
    assert 'os.environ["WEBHOOK_URL"]' in made["python"]
    assert "import os" not in snippets()["python"]


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\a.wav", "a.wav"),
        ("-", "./-"),
        ("/", "audio.wav"),
        (None, "audio.wav"),
    ],
)
def test_a_snippet_reads_no_file_of_another_folder(filename: str | None, shown: str) -> None:
    made = snippets(filename=filename)
    assert f'audio_file=@"{shown}"' in words_of(made["curl"])
    assert shown in literals(made["python"])


def test_options_have_the_form_of_a_form() -> None:
    words = words_of(snippets(options={"denoise": False, "num_speakers": 3, "language": "de"})["curl"])
    assert [word for word in words if "=" in word][1:] == ["denoise=false", "num_speakers=3", "language=de"]
