"""The course of a long ``bench ingest``: what it is to do, and a line for each stretch it has done.

The first line of a progress file is the run itself (which folder, which epoch, when its simulated time
begins), each further one a stretch of readings. A run that finds such a file goes on behind its last
line, with the same folder: what was acknowledged since then is sent once more, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from utaa.bench.measure import percentile
from utaa.bench.plot import svg


class Head(msgspec.Struct, kw_only=True, frozen=True):
    """What a run is; it is the same after every interruption."""

    folder: str
    store: str
    epoch: str
    start_us: int
    sites: int
    each: int
    rounds: int


class Stretch(msgspec.Struct, kw_only=True, frozen=True):
    """Some readings in a row."""

    #: readings acknowledged at its end, of the whole run
    rows: int
    #: how many of them in this stretch, and how long it took
    readings: int
    seconds: float
    #: processor seconds by process
    cpu_s: dict[str, float] = {}
    #: how long questions for the last hour of one detector took meanwhile
    reads_ms: list[float] = []

    @property
    def rate(self) -> int:
        return round(self.readings / max(self.seconds, 1e-3))


class Course:
    """A run's head and stretches, in memory and, where there is a file, on disk."""

    def __init__(self, head: Head, file: Path | None, stretches: Iterable[Stretch] = ()) -> None:
        self.head = head
        self.file = file
        self.stretches = list(stretches)

    @classmethod
    def opened(cls, head: Head, file: Path | None) -> Course:
        """The run that the file tells of, else this one, newly begun.

        Raises ``ValueError`` for a file of another run.
        """
        if file is None or not file.exists() or not file.stat().st_size:
            course = cls(head, file)
            course._write(head)
            return course
        lines = file.read_bytes().splitlines()
        try:
            known = msgspec.json.decode(lines[0], type=Head)
        except msgspec.DecodeError as error:
            raise ValueError(f"{file}: no progress of this bench: {error}") from None
        asked = (head.store, head.sites, head.each, head.rounds)
        if (known.store, known.sites, known.each, known.rounds) != asked:
            raise ValueError(f"{file}: of another run; choose another file or the same parameters")
        course = cls(known, file, _stretches(lines[1:]))
        # a torn line goes, so that the next one begins anew
        whole = [known, *course.stretches]
        file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in whole))
        return course

    @property
    def rows(self) -> int:
        return self.stretches[-1].rows if self.stretches else 0

    @property
    def first_round(self) -> int:
        """Where to go on; frames of the round before may have been under way."""
        return max(0, self.rows // (self.head.sites * self.head.each) - 1)

    def add(self, stretch: Stretch) -> None:
        self.stretches.append(stretch)
        self._write(stretch)

    def _write(self, line: Head | Stretch) -> None:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    def figures(self) -> dict[str, object]:
        """Over all stretches, whatever interrupted them."""
        seconds = sum(one.seconds for one in self.stretches)
        readings = sum(one.readings for one in self.stretches)
        rates = [one.rate for one in self.stretches]
        reads = [took for one in self.stretches for took in one.reads_ms]
        used: dict[str, float] = {}
        for stretch in self.stretches:
            for name, took_s in stretch.cpu_s.items():
                used[name] = used.get(name, 0.0) + took_s
        return {
            "seconds": round(seconds, 1),
            "readings_per_s": round(readings / max(seconds, 1e-3)),
            "readings_per_s_p50": percentile(rates, 0.5),
            "readings_per_s_p5": percentile(rates, 0.05),
            "rate_over_rows": [(one.rows, one.rate) for one in self.stretches],
            "cpu_us_per_reading": {
                name: round(took_s / max(readings, 1) * 1e6, 2) for name, took_s in used.items()
            },
            "reads": len(reads),
            "read_p50_ms": percentile(reads, 0.5),
            "read_p95_ms": percentile(reads, 0.95),
        }

    def drawn(self, aim: float) -> str:
        """The rate over the rows, as SVG."""
        return svg(
            [(one.rows, one.rate) for one in self.stretches],
            title=f"utaa bench ingest into {self.head.store}",
            across="readings stored",
            up="readings a second",
            aim=aim,
        )


def _stretches(lines: Iterable[bytes]) -> list[Stretch]:
    """A line torn by a crash, and what follows it, counts for nothing."""
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Stretch))
        except msgspec.DecodeError:
            break
    return found
