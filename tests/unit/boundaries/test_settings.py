"""Every setting is documented, and every documented variable is a setting."""

import re

import msgspec
import pytest

from deploy.local.settings import Choices
from ingest_service.settings import IngestSettings
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.settings import ProcessorSettings
from processor_service.summaries.chat_settings import ChatProviderSettings
from shared.environment import PREFIX
from shared.known_variables import (
    CHAT_PROVIDER_ENDINGS,
    CLIENT_VARIABLES,
    PROVIDER_ENDINGS,
    SETTINGS,
    unknown_variables,
)
from shared.settings import SettingsError, group_prefix, load_settings
from tests.support.stack.launched import ROOT

REQUIRED = {
    "HEADRACE_DATABASE_URL": "postgresql://user:secret@localhost/headrace",
    "HEADRACE_REDIS_URL": "redis://localhost",
    "HEADRACE_STORAGE_URL": "file:///blobs",
}


def _names() -> set[str]:
    fields = (*msgspec.structs.fields(IngestSettings), *msgspec.structs.fields(ProcessorSettings))
    return {PREFIX + field.name.upper() for field in fields}.union(
        group_prefix(group, "<name>") + field.name.upper()
        for group, kind in (("providers", ProviderSettings), ("chat_providers", ChatProviderSettings))
        for field in msgspec.structs.fields(kind)
        if field.name != "name"
    )


def test_example_env_lists_exactly_the_settings() -> None:
    example = (ROOT / "deploy/example.env").read_text()

    assert set(re.findall(r"^#?(HEADRACE_[A-Z_<>]+)=", example, re.MULTILINE)) == _names()


def test_known_variables_lists_every_setting() -> None:
    of_providers = {group_prefix("providers", "<name>") + ending for ending in PROVIDER_ENDINGS}
    of_chats = {group_prefix("chat_providers", "<name>") + ending for ending in CHAT_PROVIDER_ENDINGS}

    assert SETTINGS | of_providers | of_chats == _names()


def test_lists_numbers_and_defaults_are_parsed() -> None:
    settings = load_settings(ProcessorSettings, {**REQUIRED, "HEADRACE_RETRY_WAITS_S": "1, 2.5", "HEADRACE_SLOTS": "3"})

    assert (settings.retry_waits_s, settings.slots, settings.chunk_s) == ((1.0, 2.5), 3, 600.0)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named(name: str) -> None:
    environ = {key: value for key, value in REQUIRED.items() if key != name}

    with pytest.raises(SettingsError, match=f"{name} is not set"):
        load_settings(ProcessorSettings, environ)


@pytest.mark.parametrize(("name", "value"), [("HEADRACE_SLOTS", "many"), ("HEADRACE_CHUNK_S", "-1")])
def test_an_invalid_setting_is_named_and_its_value_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        load_settings(ProcessorSettings, {**REQUIRED, name: value})

    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        "HEADRACE_PROVIDER_ACME_URL",
        "HEADRACE_CHAT_PROVIDER_ACME_FORMAT",
        "HEADRACE_PROVIDER_IN_HOUSE_TIMEOUT_S",
        *sorted(SETTINGS),
    ],
)
def test_provider_variables_are_known_without_a_list_of_providers(name: str) -> None:
    assert unknown_variables({name: "x", "PATH": "/bin", "HEADRACEX": "1"}) == []


@pytest.mark.parametrize("name", sorted(CLIENT_VARIABLES))
def test_variables_of_the_command_are_known_and_reach_no_service(name: str) -> None:
    environ = {name: "secret", "HEADRACE_MODEL": "tiny"}

    assert unknown_variables(environ) == []
    assert Choices.of(environ).overrides == {"HEADRACE_MODEL": "tiny"}


def test_variables_that_kubernetes_sets_for_a_service_are_known() -> None:
    endings = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR")
    environ = {f"HEADRACE_INGEST_{ending}": "x" for ending in endings}

    assert unknown_variables(environ) == []
    assert [one.name for one in unknown_variables({"HEADRACE_INGEST_PORT": "x"})] == ["HEADRACE_INGEST_PORT"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HEADRACE_MODLE", "HEADRACE_MODEL"),
        ("HEADRACE_REDIS_URI", "HEADRACE_REDIS_URL"),
        ("HEADRACE_SLOT", "HEADRACE_SLOTS"),
        ("HEADRACE_slots", "HEADRACE_SLOTS"),
        ("HEADRACE_CHUNK_SECONDS", "HEADRACE_CHUNK_S"),
        ("HEADRACE_PROVIDER_ACME_URI", "HEADRACE_PROVIDER_ACME_URL"),
        ("HEADRACE_PROVIDER_IN_HOUSE_TIMEOUT", "HEADRACE_PROVIDER_IN_HOUSE_TIMEOUT_S"),
        ("HEADRACE_PROVIDER_OTHER_KEYS", "HEADRACE_PROVIDER_OTHER_KEY"),
        ("HEADRACE_ZZZ", None),
        ("HEADRACE_", None),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_setting(name: str, nearest: str | None) -> None:
    environ = {"HEADRACE_PROVIDERS": "acme, in_house", name: "hidden", "HEADRACE_MODEL": "base"}
    if "OTHER" in name:
        del environ["HEADRACE_PROVIDERS"]

    (found,) = unknown_variables(environ)

    assert (found.name, found.nearest) == (name, nearest)
    assert "hidden" not in str(found)


def test_an_empty_environment_has_no_unknown_variable() -> None:
    assert unknown_variables({}) == []
