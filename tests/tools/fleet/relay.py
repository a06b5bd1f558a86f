"""A slow line between two network devices, for kernels without `tc netem`: `python -m tests.tools.fleet.relay`.

A frame that enters at one end leaves at the other after the delay, or is lost at random (seeded). The program creates
both devices, which exist until it ends, prints "ready", and prints its counts as JSON on SIGTERM.
"""

import argparse
import fcntl
import json
import os
import random
import select
import signal
import struct
import sys
import time
from collections import deque

TUN_DEVICE = "/dev/net/tun"

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000  # whole Ethernet frames without a header
REQUEST = struct.Struct("16sH22x")  # struct ifreq
FRAME_BYTES = 1 << 16
MAX_QUEUE = 1000  # frames, as in netem
LOOK_EVERY_S = 0.2


class Schedule:
    """One direction of the line: which frames are lost, and when the others leave. The caller passes the time."""

    def __init__(self, *, delay_s: float, loss: float, seed: object) -> None:
        self.passed = 0
        self.lost = 0
        self._delay_s = delay_s
        self._loss = loss
        self._rng = random.Random(str(seed))
        self._under_way: deque[tuple[float, bytes]] = deque()

    def take(self, frame: bytes, now_s: float) -> None:
        if self._rng.random() < self._loss or len(self._under_way) >= MAX_QUEUE:
            self.lost += 1
        else:
            self._under_way.append((now_s + self._delay_s, frame))

    def due(self, now_s: float) -> list[bytes]:
        """Remove and return the frames whose delay has passed, in arrival order."""
        frames = []
        while self._under_way and self._under_way[0][0] <= now_s:
            frames.append(self._under_way.popleft()[1])
        self.passed += len(frames)
        return frames

    def next_s(self, now_s: float) -> float | None:
        """Return the seconds until the next frame is due; None without frames."""
        return max(0.0, self._under_way[0][0] - now_s) if self._under_way else None


def main() -> None:
    arguments = _arguments()
    ends = [_tap(name) for name in arguments.devices]
    ways = [
        Schedule(delay_s=arguments.delay_s, loss=arguments.loss, seed=f"{arguments.seed} {name}")
        for name in arguments.devices
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("ready", flush=True)
    try:
        _relay(ends, ways)
    finally:
        print(json.dumps({"frames_passed": sum(w.passed for w in ways), "frames_lost": sum(w.lost for w in ways)}))


def _relay(ends: list[int], ways: list[Schedule]) -> None:
    """Forward frames. `ways[n]` leads from `ends[n]` to the other end."""
    while True:
        now_s = time.monotonic()
        waits_s = [wait_s for way in ways if (wait_s := way.next_s(now_s)) is not None]
        readable, _, _ = select.select(ends, [], [], min([LOOK_EVERY_S, *waits_s]))
        for end, other, way in zip(ends, reversed(ends), ways, strict=True):
            if end in readable:
                way.take(os.read(end, FRAME_BYTES), time.monotonic())
            for frame in way.due(time.monotonic()):
                _write(other, frame)


def _write(end: int, frame: bytes) -> None:
    try:
        os.write(end, frame)
    except OSError:  # the device at that end is down
        return


def _tap(name: str) -> int:
    """Create a TAP device and return its file descriptor, from which frames are read and to which they are written."""
    file = os.open(TUN_DEVICE, os.O_RDWR)
    fcntl.ioctl(file, TUNSETIFF, REQUEST.pack(name.encode(), IFF_TAP | IFF_NO_PI))
    return file


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fleet.relay")
    parser.add_argument("devices", nargs=2)
    parser.add_argument("--delay-s", type=float, required=True)
    parser.add_argument("--loss", type=float, required=True)
    parser.add_argument("--seed", default="0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
