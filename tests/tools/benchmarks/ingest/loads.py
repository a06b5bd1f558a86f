"""The loads: sizes of the uploads, number and behaviour of the clients."""

import msgspec

from tests.tools.benchmarks.ingest.orders import Mode

MB, GB = 10**6, 10**9
SMALL_BYTES = 32 << 10  # one second of speech
FASTEST_BYTES_PER_S = 1.5 * GB  # assumed disk rate, for the disk space check
ROOM_BYTES = 2 * GB  # disk space besides the uploads


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout_s` bounds the whole load."""

    name: str
    mode: Mode
    audio_bytes: int
    clients: int
    seconds: float = 0.0
    ramp_s: float = 0.0
    hold_s: float = 0.0
    timeout_s: float = 120.0

    @property
    def disk_bytes(self) -> int:
        """The most disk space needed. The usual stack writes each upload twice: spooled, then copied."""
        if self.mode is not Mode.KEPT_ALIVE:
            return 2 * self.clients * self.audio_bytes + ROOM_BYTES
        return round(self.seconds * FASTEST_BYTES_PER_S * min(1.0, self.audio_bytes / MB)) + ROOM_BYTES

    def __str__(self) -> str:
        size = f"{self.audio_bytes / MB:g} MB" if self.audio_bytes >= MB else f"{self.audio_bytes >> 10} KB"
        behaviour = {
            Mode.KEPT_ALIVE: f"over {self.clients} kept-alive connections for {self.seconds:g} s",
            Mode.AT_ONCE: f"{self.clients} at once",
            Mode.HELD_OPEN: f"{self.clients} clients, each upload held open for {self.hold_s:g} s",
        }
        return f"{self.name}: {size}, {behaviour[self.mode]}"


def make_loads(seconds: float, spike_clients: int, held_clients: int, hold_s: float, huge_bytes: int) -> list[Load]:
    """Return all loads in the order of the tables."""
    ramp_s = hold_s / 2  # then all uploads are open for the other half of `hold_s`
    kept_s = seconds + 60
    return [
        Load(
            name="small",
            mode=Mode.KEPT_ALIVE,
            audio_bytes=SMALL_BYTES,
            clients=64,
            seconds=seconds,
            timeout_s=kept_s,
        ),
        Load(name="spike", mode=Mode.AT_ONCE, audio_bytes=SMALL_BYTES, clients=spike_clients),
        Load(
            name="held",
            mode=Mode.HELD_OPEN,
            audio_bytes=SMALL_BYTES,
            clients=held_clients,
            ramp_s=ramp_s,
            hold_s=hold_s,
            timeout_s=ramp_s + hold_s + 120,
        ),
        Load(
            name="large",
            mode=Mode.KEPT_ALIVE,
            audio_bytes=5 * MB,
            clients=16,
            seconds=seconds,
            timeout_s=kept_s,
        ),
        Load(name="huge", mode=Mode.AT_ONCE, audio_bytes=huge_bytes, clients=1, timeout_s=900),
    ]
