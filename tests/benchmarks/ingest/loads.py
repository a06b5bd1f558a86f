"""The loads: who uploads how much, and how many at a time."""

import msgspec

from tests.benchmarks.ingest.orders import Mode

MB, GB = 10**6, 10**9
SMALL_BYTES = 32 << 10  # a second of speech
FASTEST_BYTES_PER_S = 1.5 * GB  # that a disk is thought to take, when room for a load is looked for
ROOM_BYTES = 2 * GB  # for what is not the uploads


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`most_s`: how long it may take in all."""

    name: str
    mode: Mode
    audio_bytes: int
    clients: int
    seconds: float = 0.0
    ramp_s: float = 0.0
    hold_s: float = 0.0
    most_s: float = 120.0

    @property
    def disk_bytes(self) -> int:
        """The room that it needs at most. The usual stack has each upload twice: spooled, and copied."""
        if self.mode is not Mode.KEPT_ALIVE:
            return 2 * self.clients * self.audio_bytes + ROOM_BYTES
        return round(self.seconds * FASTEST_BYTES_PER_S * min(1.0, self.audio_bytes / MB)) + ROOM_BYTES

    def __str__(self) -> str:
        size = f"{self.audio_bytes / MB:g} MB" if self.audio_bytes >= MB else f"{self.audio_bytes >> 10} KB"
        how = {
            Mode.KEPT_ALIVE: f"over {self.clients} kept-alive connections for {self.seconds:g} s",
            Mode.AT_ONCE: f"{self.clients} at once",
            Mode.HELD_OPEN: f"{self.clients} clients, each upload held open for {self.hold_s:g} s",
        }
        return f"{self.name}: {size}, {how[self.mode]}"


def make_loads(seconds: float, spike_clients: int, held_clients: int, hold_s: float, huge_bytes: int) -> list[Load]:
    """All loads, in the order of the table."""
    all_come_s = hold_s / 2  # so that all are there for the other half of the time
    kept_s = seconds + 60
    return [
        Load(
            name="small",
            mode=Mode.KEPT_ALIVE,
            audio_bytes=SMALL_BYTES,
            clients=64,
            seconds=seconds,
            most_s=kept_s,
        ),
        Load(name="spike", mode=Mode.AT_ONCE, audio_bytes=SMALL_BYTES, clients=spike_clients),
        Load(
            name="held",
            mode=Mode.HELD_OPEN,
            audio_bytes=SMALL_BYTES,
            clients=held_clients,
            ramp_s=all_come_s,
            hold_s=hold_s,
            most_s=all_come_s + hold_s + 120,
        ),
        Load(
            name="large",
            mode=Mode.KEPT_ALIVE,
            audio_bytes=5 * MB,
            clients=16,
            seconds=seconds,
            most_s=kept_s,
        ),
        Load(name="huge", mode=Mode.AT_ONCE, audio_bytes=huge_bytes, clients=1, most_s=900),
    ]
