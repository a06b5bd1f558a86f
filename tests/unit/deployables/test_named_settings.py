"""Every setting that a file in deploy/ or a document names exists."""

import re
from pathlib import Path

import msgspec
import pytest

from ingest_service.settings import IngestSettings
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.settings import ProcessorSettings
from processor_service.summaries.chat_settings import ChatProviderSettings
from shared.environment import PREFIX
from shared.known_variables import CLIENT_VARIABLES
from shared.settings import group_prefix
from tests.support.deployables.composed import SERVICES
from tests.support.deployables.manifests import FOLDER, read
from tests.support.documents.markdown import DOCUMENTS
from tests.support.stack.launched import ROOT

ENDINGS = {".Dockerfile", ".yaml", ".yml", ".md", ".sql", ".py"}
FILES = [path for path in sorted((ROOT / "deploy").rglob("*")) if path.suffix in ENDINGS] + DOCUMENTS


def _names(settings: type[msgspec.Struct]) -> set[str]:
    return {PREFIX + field.name.upper() for field in msgspec.structs.fields(settings)}


INGEST, PROCESSOR = _names(IngestSettings), _names(ProcessorSettings)
GROUPS = (("providers", ProviderSettings), ("chat_providers", ChatProviderSettings))
OF_PROVIDERS = re.compile(
    "|".join(
        f"{group_prefix(group, '[A-Z0-9_]+')}({'|'.join(name.removeprefix(PREFIX) for name in _names(kind))})"
        for group, kind in GROUPS
    )
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_setting_exists(path: Path) -> None:
    named = set(re.findall(r"HEADRACE_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_<])", path.read_text()))
    unknown = {name for name in named - INGEST - PROCESSOR - CLIENT_VARIABLES if not OF_PROVIDERS.fullmatch(name)}
    assert unknown == set()


@pytest.mark.parametrize(("service", "known"), [("ingest", INGEST), ("processor", PROCESSOR)])
def test_a_service_gets_its_own_settings_only(service: str, known: set[str]) -> None:
    dockerfile = (ROOT / f"deploy/{service}.Dockerfile").read_text()
    in_the_image = set(re.findall(r"(HEADRACE_[A-Z0-9_]+)=", dockerfile))
    in_compose = {name for name in SERVICES[service]["environment"] if name.startswith(PREFIX)}
    generators = [
        generator
        for path in FOLDER.rglob("kustomization.yaml")
        for generator in read(path)[0].get("configMapGenerator", ())
        if generator["name"] in ("headrace-bucket", f"headrace-{service}")
    ]
    in_kubernetes = {line.split("=")[0] for generator in generators for line in generator["literals"]}
    assert in_compose
    assert in_kubernetes
    assert {name for name in in_the_image | in_compose | in_kubernetes if name.startswith(PREFIX)} <= known
