"""The budget of a job's derived bytes: what decoding, denoising and transcribing may write, in scratch and as blobs.

A file of a few kilobytes can decode to gigabytes: by one chunk of sound that its index repeats, by compressed silence,
or by a header that states more than follows.
"""

from collections.abc import Iterable

from processor_service.errors import too_much_audio
from processor_service.settings import ProcessorSettings
from shared.blobs.blob_facts import BlobFacts


def budget_bytes(settings: ProcessorSettings, source_bytes: int) -> int:
    """Return the most derived bytes of a job: a multiple of its source, within a floor and an absolute limit."""
    multiple = int(source_bytes * settings.derived_ratio)
    return min(max(multiple, settings.derived_least_bytes), settings.derived_most_bytes)


def stored_bytes(blobs: Iterable[BlobFacts], *, rewritten: Iterable[str]) -> int:
    """Return the size of a job's derived blobs, without those that this attempt writes again."""
    again = set(rewritten)
    return sum(blob.size for blob in blobs if blob.key not in again)


class DerivedBytes:
    """The account of one attempt. Nothing may be written before it is open."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._spent_bytes = 0

    @property
    def left_bytes(self) -> int:
        return max(0, self.most_bytes - self._spent_bytes)

    def open(self, most_bytes: int, *, spent_bytes: int = 0) -> None:
        """Start with the budget of the job, and what earlier tasks of the job have spent."""
        self.most_bytes, self._spent_bytes = most_bytes, spent_bytes

    def charge(self, more_bytes: int) -> None:
        """Raise AudioError if the budget does not cover so many more bytes."""
        self._spent_bytes += more_bytes
        if self._spent_bytes > self.most_bytes:
            raise too_much_audio(self.most_bytes)
