"""The progress of a transcription over its windows."""

from collections.abc import Sequence

from processor_service.transcribers.transcriber import OnProgress
from shared.schemas.transcript import Segment

ENCODING_SHARE = 0.5  # of the time of a window, approximately; the rest is decoding


class WindowProgress:
    """Reports which share of the windows is done. Windows are done in batches, in order."""

    def __init__(self, windows: int, report: OnProgress) -> None:
        self._windows = windows
        self._report = report
        self._encoded = 0
        self._decoded = 0
        self._batch_end = 0
        self._reported = 0  # segments

    def begin(self, batch: int) -> None:
        """Begin the next batch of so many windows."""
        self._batch_end += batch

    def encoded(self, windows: int) -> None:
        """Count windows as encoded."""
        self._encoded = min(self._encoded + windows, self._batch_end)
        self._send()

    def decoded(self, windows: int) -> None:
        """Count windows as decoded. Further attempts do not count."""
        self._decoded = min(self._decoded + windows, self._batch_end)
        self._send()

    def done(self, windows: int, final: Sequence[Segment]) -> None:
        """Set how many windows are done. `final` holds the segments from the first one on that are final."""
        self._encoded = max(self._encoded, windows)
        self._decoded = max(self._decoded, windows)
        self._send(final[self._reported :])
        self._reported = max(self._reported, len(final))

    def _send(self, segments: Sequence[Segment] = ()) -> None:
        share = (ENCODING_SHARE * self._encoded + (1 - ENCODING_SHARE) * self._decoded) / self._windows
        self._report(share, segments)
