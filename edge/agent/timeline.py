"""The timeline of the alarms: wall time anchored on the monotonic clock, never going back."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Literal

from edge.wire.clock import EARLIEST_US, Clock
from edge.wire.identity import new_id

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: adjtimex answers this while the kernel's clock follows nobody.
_TIME_ERROR = 5
#: Room for the kernel's ``struct timex`` on any platform; a zeroed one only asks.
_TIMEX_BYTES = 512

Trust = Literal["always", "kernel"]


def boot_id(clock: Clock) -> str:
    """This boot of the machine, whose monotonic clock events are aged by.

    A scaled clock counts differently, so its factor is part of the id. Where the kernel gives no id,
    this process is its own boot.
    """
    try:
        boot = re.sub("[^0-9a-f]", "", _BOOT_ID.read_text(encoding="ascii"))
    except OSError:
        return new_id()
    return boot[:32] if clock.factor == 1.0 else f"{boot[:32]}x{clock.factor:g}"


class ClockSync:
    """Whether the wall clock can be believed.

    ``always``: whenever it says a year this software exists in. ``kernel``: when moreover the kernel
    says that it follows a time server (a box without a battery for its clock needs this).
    """

    def __init__(self, clock: Clock, trust: Trust) -> None:
        self._clock = clock
        self._trust = trust
        self._adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)

    def synced(self) -> bool:
        """Ask now."""
        if self._clock.now_us() < EARLIEST_US:
            return False
        if self._trust == "always" or self._clock.factor != 1.0 or self._adjtimex is None:
            return True
        return bool(self._adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) not in (_TIME_ERROR, -1))


class AlarmTime:
    """The agent's ``now_us`` for the alarms.

    It starts at the wall clock, or goes on where the last run of the same boot stood; a step of the
    wall clock afterwards moves neither doses nor deadlines.
    """

    def __init__(
        self, clock: Clock, *, boot: str, last_us: int = 0, last_mono_us: int = 0, last_boot: str = ""
    ) -> None:
        self._clock = clock
        self._anchor_mono_us = clock.monotonic_us()
        if boot == last_boot and 0 < last_mono_us <= self._anchor_mono_us:
            self._anchor_us = last_us + self._anchor_mono_us - last_mono_us
        else:
            self._anchor_us = max(clock.now_us(), last_us)

    def now_us(self) -> int:
        """Alarm time."""
        return self._anchor_us + self._clock.monotonic_us() - self._anchor_mono_us

    def moment(self, alarm_us: int) -> tuple[int, int]:
        """The wall time and the monotonic time of a moment of the alarm timeline."""
        ago_us = self.now_us() - alarm_us
        return max(0, self._clock.now_us() - ago_us), self._clock.monotonic_us() - ago_us


def process_cpu_s() -> float:
    """CPU seconds of this process so far."""
    times = os.times()
    return times.user + times.system
