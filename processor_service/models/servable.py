"""The names of models that this processor can run a job with: its own, in the cache, and those of its providers."""

from collections.abc import Sequence

from processor_service.diarization.weights import NETS
from processor_service.models.cache import ModelCache, is_path
from processor_service.settings import ProcessorSettings
from processor_service.transcribers.engines import NO_ENGINE, needs_weights
from shared.queue.announced_models import ANY_MODEL

MAX_NAMES = 200  # that one processor announces


def servable_models(settings: ProcessorSettings, models: ModelCache) -> Sequence[str]:
    """Return the names, read from the cache's folder now: a model may be fetched while the processor runs."""
    names = {one.model for one in settings.providers}
    if needs_weights(settings.transcriber):
        names |= {*models.names()} - NETS
        names |= set() if is_path(settings.model) else {settings.model}
    elif settings.transcriber != NO_ENGINE:
        names.add(ANY_MODEL)
    return sorted(names)[:MAX_NAMES]
