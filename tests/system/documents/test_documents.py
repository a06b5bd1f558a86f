"""All documents: links are valid, shell commands can be copied, generated parts are up to date."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from deploy.docs import documents, examples
from ingest_service.settings import IngestSettings
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.settings import ProcessorSettings
from shared.environment import PREFIX
from shared.schemas.options import INTERNAL_OPTIONS, SubmitOptions
from shared.settings import group_prefix, load_settings
from tests.support.documents.markdown import DOCUMENTS, anchors, blocks, links
from tests.support.stack.launched import ROOT

BASH = shutil.which("bash") or "bash"
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\$\([^)]*\)|\\.")
EXPANDED_BY_SHELLS = re.compile(
    r"[?*\[\]#]|(?<=\s)="
)  # zsh: an error if a pattern matches nothing, and no comments at the prompt
LONGEST_README = 150
LEFT_OUT = {"HEADRACE_INGEST_PROCESSES", "HEADRACE_THREADS"}  # their defaults depend on the machine


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_file_and_a_heading(path: Path) -> None:
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.process
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
@pytest.mark.process
def test_every_shell_command_can_be_pasted_into_bash_and_zsh(path: Path) -> None:
    assert not blocks(path, "console", "sh", "shell", "zsh")
    for block in blocks(path, "bash"):
        checked = subprocess.run([BASH, "-n"], input=block.text, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert not re.search(r"^\$ ", block.text, re.MULTILINE), block.text
        assert not EXPANDED_BY_SHELLS.search(QUOTED.sub("", block.text)), block.text


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


@pytest.mark.parametrize(("path", "text"), documents().items(), ids=lambda value: getattr(value, "name", ""))
def test_generated_documents_are_up_to_date(path: Path, text: str) -> None:
    assert path.read_text() == text, "run `make docs`"


@pytest.mark.parametrize("settings", [IngestSettings, ProcessorSettings])
def test_the_defaults_in_the_example_are_those_of_the_code(
    settings: type[IngestSettings] | type[ProcessorSettings],
) -> None:
    required = {PREFIX + field.name.upper() for field in msgspec.structs.fields(settings) if field.required}
    shown = {name: value for name, (_, value) in examples().items() if value and name not in LEFT_OUT}

    assert load_settings(settings, shown) == load_settings(settings, {name: shown[name] for name in required})


def test_the_defaults_of_a_provider_in_the_example_are_those_of_the_code() -> None:
    generic, of_a = group_prefix("providers", "<name>"), group_prefix("providers", "a")
    shown = {name.replace(generic, of_a): value for name, (_, value) in examples().items() if name.startswith(generic)}
    needed = {name: value for name, (_, value) in examples().items() if value and "<" not in name}
    needed = {**needed, "HEADRACE_PROVIDERS": "a"}

    (found,) = load_settings(ProcessorSettings, {**needed, **shown}).providers

    assert found == ProviderSettings(name="a", url=found.url, model=found.model)


def test_the_table_of_options_is_complete() -> None:
    section = (ROOT / "docs/api.md").read_text().split("\n## Options\n")[1].split("\n## ")[0]

    named = {
        name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert named == set(SubmitOptions.__struct_fields__) - INTERNAL_OPTIONS
