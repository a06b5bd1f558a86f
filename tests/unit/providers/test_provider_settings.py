"""Providers are a list of names. Each name has its own settings."""

import pytest

from processor_service.providers.provider_settings import BESIDES_AUDIO_BYTES, ProviderSettings
from processor_service.settings import ProcessorSettings
from shared.secret import Secret
from shared.settings import SettingsError, load_settings

NEEDED = {"HEADRACE_DATABASE_URL": "postgres:", "HEADRACE_REDIS_URL": "redis:", "HEADRACE_STORAGE_URL": "file:///"}
ACME = {"URL": "https://acme.example/openai/v1/", "MODEL": "whisper-large-v3", "KEY": "s3cret"}
LONGEST_FLAC_FRAME_HEADER_BYTES = 16 + 2 + 2  # header, subframe and footer of a frame of one channel


def _load(providers: str = "acme", *, transcriber: str = "scripted", **acme: str) -> tuple[ProviderSettings, ...]:
    values = {f"HEADRACE_PROVIDER_ACME_{name}": value for name, value in {**ACME, **acme}.items()}
    chosen = {"HEADRACE_PROVIDERS": providers, "HEADRACE_TRANSCRIBER": transcriber}
    return load_settings(ProcessorSettings, {**NEEDED, **values, **chosen}).providers


def test_each_name_has_its_own_settings() -> None:
    environ = {
        **{f"HEADRACE_PROVIDER_ACME_{name}": value for name, value in ACME.items()},
        "HEADRACE_PROVIDERS": "acme, in_house",
        "HEADRACE_PROVIDER_IN_HOUSE_URL": "http://10.0.0.5:8000/v1",
        "HEADRACE_PROVIDER_IN_HOUSE_MODEL": "base",
        "HEADRACE_PROVIDER_IN_HOUSE_TIMES": "none",
        "HEADRACE_PROVIDER_IN_HOUSE_TIMEOUT_S": "7.5",
    }

    acme, in_house = load_settings(ProcessorSettings, {**NEEDED, **environ}).providers

    assert (acme.name, acme.model, acme.key, acme.times) == ("acme", ACME["MODEL"], Secret("s3cret"), "words")
    assert acme.address("transcribe") == "https://acme.example/openai/v1/audio/transcriptions"
    assert acme.address("translate") == "https://acme.example/openai/v1/audio/translations"
    assert (in_house.name, in_house.key, in_house.timeout_s) == ("in_house", Secret(""), 7.5)
    assert (acme.longest_piece_s, in_house.longest_piece_s) == (600.0, 30.0)


def test_an_empty_list_means_no_providers() -> None:
    assert _load("") == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", ""),
        ("MODEL", ""),
        ("URL", "acme.example"),
        ("URL", "ftp://acme.example/v1"),
        ("URL", "https://user:pass@acme.example/v1"),
        ("URL", "https://acme.example/v1?key=value"),
        ("URL", "https://acme.example:99999/v1"),
        ("KEY", "two words"),
        ("KEY", "schlüssel"),
        ("KEY", "line\r\nx: y"),
        ("TIMES", "sometimes"),
        ("MAX_BYTES", "1000"),
        ("MAX_SECONDS", "1"),
        ("TIMEOUT_S", "0"),
    ],
)
def test_an_invalid_setting_is_named_in_the_error(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_PROVIDER_ACME_") as raised:
        _load(**{name: value})

    assert name != "KEY" or value not in str(raised.value)


@pytest.mark.parametrize("names", ["acme,acme", "Acme", "9to5", "ac-me", "none", "scripted", "acme,"])
def test_invalid_names_are_refused(names: str) -> None:
    with pytest.raises(SettingsError):
        _load(names)


def test_neither_engine_nor_provider_is_refused() -> None:
    assert len(_load(transcriber="none")) == 1
    with pytest.raises(SettingsError, match="HEADRACE_PROVIDERS"):
        _load("", transcriber="none")


@pytest.mark.parametrize("max_bytes", [1 << 20, 2_000_000, 25 << 20])
def test_the_longest_piece_fits_a_request_at_the_least_compression(max_bytes: int) -> None:
    settings = ProviderSettings(name="acme", url="http://acme", model="m", max_bytes=max_bytes, max_seconds=3600)

    samples = settings.longest_piece_s * 16_000
    assert settings.longest_piece_s >= 30
    assert samples * 2 + samples / 4096 * LONGEST_FLAC_FRAME_HEADER_BYTES <= max_bytes - BESIDES_AUDIO_BYTES + 1
