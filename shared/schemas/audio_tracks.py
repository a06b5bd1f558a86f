"""The audio tracks of a source, as the database stores them and the API returns them."""

import msgspec


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True):
    """One audio track. What its container does not say is null; `channels` and `duration` may be wrong there."""

    number: int  # from 0: the option `track`
    codec: str
    language: str | None = None
    title: str | None = None
    channels: int | None = None
    duration: float | None = None  # seconds
    transcribed: bool = False
