"""Every setting is documented, and what is documented is a setting."""

import re

import msgspec
import pytest

from ingest_service.settings import IngestSettings
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.settings import ProcessorSettings
from shared.settings import PREFIX, SettingsError, group_prefix, load_settings
from tests.stack.launched import ROOT

NEEDED = {
    "HEADRACE_DATABASE_URL": "postgresql://user:secret@localhost/headrace",
    "HEADRACE_REDIS_URL": "redis://localhost",
    "HEADRACE_STORAGE_URL": "file:///blobs",
}


def _names() -> set[str]:
    fields = (*msgspec.structs.fields(IngestSettings), *msgspec.structs.fields(ProcessorSettings))
    of_providers = {field.name for field in msgspec.structs.fields(ProviderSettings)} - {"name"}
    return {PREFIX + field.name.upper() for field in fields} | {
        group_prefix("providers", "<name>") + name.upper() for name in of_providers
    }


def test_the_example_lists_every_setting_and_no_other() -> None:
    example = (ROOT / "deploy/example.env").read_text()

    assert set(re.findall(r"^#?(HEADRACE_[A-Z_<>]+)=", example, re.MULTILINE)) == _names()


def test_lists_numbers_and_defaults_are_read() -> None:
    settings = load_settings(ProcessorSettings, {**NEEDED, "HEADRACE_RETRY_WAITS_S": "1, 2.5", "HEADRACE_SLOTS": "3"})

    assert (settings.retry_waits_s, settings.slots, settings.chunk_s) == ((1.0, 2.5), 3, 600.0)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_setting_is_named(name: str) -> None:
    environ = {key: value for key, value in NEEDED.items() if key != name}

    with pytest.raises(SettingsError, match=f"{name} is not set"):
        load_settings(ProcessorSettings, environ)


@pytest.mark.parametrize(("name", "value"), [("HEADRACE_SLOTS", "many"), ("HEADRACE_CHUNK_S", "-1")])
def test_an_invalid_setting_is_named_and_its_value_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        load_settings(ProcessorSettings, {**NEEDED, name: value})

    assert value not in str(raised.value)
