"""The peaks of a job's audio, as the processor stores them and the API returns them."""

from typing import Annotated, Literal

import msgspec

PeakLevel = Literal["detail", "overview"]

Sample = Annotated[int, msgspec.Meta(ge=-128, le=127)]


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """The waveform of all channels mixed, in the JSON of BBC's audiowaveform.

    A pixel is `samples_per_pixel` samples of one channel, at `sample_rate`; the last one may be shorter.
    """

    version: Literal[2]
    channels: Literal[1]
    sample_rate: int
    samples_per_pixel: int
    bits: Literal[8]
    length: int  # pixels
    data: tuple[Sample, ...]  # minimum and maximum of each pixel
