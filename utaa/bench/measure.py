"""What a bench reads off the machine: times, percentiles, processor time and memory by process."""

from __future__ import annotations

import math
import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from utaa.servers import find_program

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20
_LIBRARIES = ("paho-mqtt", "aiomqtt", "sqlalchemy", "numpy", "msgspec", "influxdb-client")
#: Program → the words that make it say its version.
_PROGRAMS = {"mosquitto": ("-h",), "influxd": ("version",), "nginx": ("-v",)}


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None without any."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(seconds: Iterable[float], share: float) -> float | None:
    """A percentile of durations in seconds, in ms with two places."""
    found = percentile(seconds, share)
    return None if found is None else round(found * 1000, 2)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_name(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "versions": {"sqlite": sqlite3.sqlite_version, **_library_versions(), **_program_versions()},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def _library_versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _program_versions() -> dict[str, str]:
    found = {}
    for name, words in _PROGRAMS.items():
        program = find_program(name)
        if program is None:
            continue
        said = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=30
        )
        lines = (said.stdout + said.stderr).splitlines()
        found[name] = lines[0].strip()[:80] if lines else "?"
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its ended children so far; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory now; 0 when the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


@dataclass
class Meter:
    """Processor time and memory of named processes between ``start`` and ``read``.

    One name may stand for several processes; their figures add up. Call ``sample`` now and then, so
    that the peak of the memory is seen.
    """

    pids: Mapping[str, Sequence[int]]
    _before: dict[int, float] = field(default_factory=dict)
    _peak_mb: dict[str, float] = field(default_factory=dict)
    _began_s: float = 0.0

    def start(self) -> None:
        self._before = {pid: cpu_s(pid) for pids in self.pids.values() for pid in pids}
        self._began_s = time.monotonic()
        self.sample()

    def resident(self) -> dict[str, float]:
        """MB of memory now, by process."""
        return {name: sum(rss_mb(pid) for pid in pids) for name, pids in self.pids.items()}

    def sample(self) -> None:
        for name, now_mb in self.resident().items():
            self._peak_mb[name] = max(self._peak_mb.get(name, 0.0), now_mb)

    def used_s(self, name: str) -> float:
        """Processor seconds of one of them since ``start``."""
        return sum(cpu_s(pid) - self._before.get(pid, 0.0) for pid in self.pids[name])

    def read(self) -> dict[str, object]:
        """``cpu_s``, ``cpu_pct`` (of one core) and ``rss_mb`` (peak), each by process."""
        self.sample()
        wall_s = max(1e-9, time.monotonic() - self._began_s)
        used = {name: self.used_s(name) for name in self.pids}
        return {
            "cpu_s": {name: round(value, 2) for name, value in used.items()},
            "cpu_pct": {name: round(100 * value / wall_s, 1) for name, value in used.items()},
            "rss_mb": {name: round(value, 1) for name, value in self._peak_mb.items()},
        }
