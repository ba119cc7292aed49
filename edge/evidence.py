"""``utaa edge evidence``: the alarms on recordings of real fires, kitchens and air, as one document.

One setting for all of them: the defaults. Every figure in ``docs/alarm-evidence.md`` comes from here.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from edge.alarms import Change, Settings
from edge.alarms.replay import Replay
from edge.recording import ORIGIN_US, US_PER_S
from edge.wire.messages import CLASS_OF
from edge.wire.readings import Reading
from edge.wire.units import c_from_f, db_m_from_per_m, ppm_from_volume_pct

RUNS = ("SDC02", "SDC05", "SDC07", "SDC10")
ROOMS = "ABCDEF"
#: Before each recording: this much noise, drawn from what its channel read in its first seconds.
PRELUDE_S, _FIRST_S = 3600.0, 10.0
#: An alarm of ours counts as in time if it is no later than the real one by this much.
LATE_S = 10.0
#: A smoke channel is at work in a room if it reaches this, in dB/m.
WORKING_DB_M = 1.0
#: Specific extinction of flaming smoke, m²/g [M: Mulholland and Croarkin, 8.7]: light lost to 1 g/m³.
_EXTINCTION_M2_G = 8.7
_DB_PER_NEPER = 4.343

Samples = list[tuple[float, dict[str, float]]]


@dataclass(frozen=True)
class Heard:
    """What came of one detector: changes with their second on the recording's own time."""

    changes: list[tuple[float, Change]]

    def first(self, kind: str) -> float | None:
        """When the kind was raised first."""
        return next(
            (at_s for at_s, c in self.changes if c.kind == kind and c.transition == "raise"), None
        )

    def raised(self) -> set[str]:
        """Kinds that were ever raised."""
        return {c.kind for _, c in self.changes if c.transition == "raise"}


def decide(samples: Samples, settings: Settings | None = None) -> Heard:
    """All changes of one detector's samples; ticks up to its last sample."""
    run: Replay | None = None
    changes: list[Change] = []
    for at_s, values in samples:
        time_us = ORIGIN_US + round(at_s * US_PER_S)
        if run is None:
            run = Replay(settings or Settings(), time_us)
        reading = Reading(detector="recording", time_us=time_us)
        changes.extend(run.hear(msgspec.structs.replace(reading, **values)))
    return Heard([((c.at_us - ORIGIN_US) / US_PER_S, c) for c in changes])


def with_prelude(samples: Samples, seed: str) -> Samples:
    """An hour of noise like the channel's first ten seconds, then the recording."""
    begin_s = samples[0][0]
    first = [values for at_s, values in samples if at_s <= begin_s + _FIRST_S]
    step_s = samples[1][0] - begin_s
    rng = random.Random(seed)  # noqa: S311  # noise, not a secret
    count = int(PRELUDE_S / step_s)
    return [(begin_s - step_s * (count - n), rng.choice(first)) for n in range(count)] + samples


# --- NIST home smoke alarm experiments


@dataclass(frozen=True)
class Pair:
    """A real photoelectric alarm of a recording and ours in the same room."""

    run: str
    alarm: str
    room: str
    real_s: float
    ours_s: float | None
    cold_s: float | None

    @property
    def in_time(self) -> bool:
        return self.ours_s is not None and self.ours_s <= self.real_s + LATE_S


@dataclass
class Nist:
    """Everything decided on the NIST recordings."""

    pairs: list[Pair] = field(default_factory=list)
    #: per run and channel: its largest dB/m, ours from an hour of noise, ours from a cold start
    smoke: dict[tuple[str, str], tuple[float, float | None, float | None]] = field(default_factory=dict)
    #: alarms raised during any prelude
    prelude_raises: list[str] = field(default_factory=list)
    gas: dict[tuple[str, str], Heard] = field(default_factory=dict)
    heat: dict[tuple[str, str], tuple[float, float | None]] = field(default_factory=dict)


_GAS: dict[str, tuple[str, Callable[[float], float]]] = {
    "1": ("co_ppm", ppm_from_volume_pct),
    "3": ("co2_ppm", ppm_from_volume_pct),
    "5": ("o2_pct", float),
}


def nist(folder: Path) -> Nist:
    """Decide every smoke, gas and ceiling temperature channel of the four runs."""
    result = Nist()
    with (folder / "Activation_Times.csv").open(encoding="utf-8") as lines:
        header, values = list(csv.reader(lines))[:2]
    real = dict(zip(header[1:], map(float, values[1:]), strict=True))
    for run in RUNS:
        with (folder / f"NIST_Smoke_Alarms_{run}.csv").open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        for channel in rows[0]:
            _nist_channel(result, run, channel, rows)
        for name, real_s in real.items():
            experiment, alarm = name.split("-")
            if experiment == run and alarm.startswith("Pho"):
                room = alarm[-1]
                if _smoke_channels(result, run, room):
                    ours_s, cold_s = _room_first(result, run, room)
                    result.pairs.append(Pair(run, alarm, room, real_s, ours_s, cold_s))
    return result


def _column(rows: list[dict[str, str]], channel: str) -> list[tuple[float, float]]:
    return [(float(row["TIME"]), float(row[channel])) for row in rows if row[channel]]


def _nist_channel(result: Nist, run: str, channel: str, rows: list[dict[str, str]]) -> None:
    if channel.startswith("SM"):
        samples: Samples = [
            (at_s, {"optical_density_db_m": db_m_from_per_m(value)})
            for at_s, value in _column(rows, channel)
        ]
        heard = decide(with_prelude(samples, run + channel))
        early = [(at_s, c) for at_s, c in heard.changes if at_s < samples[0][0]]
        result.prelude_raises += [
            f"{run} {channel}: {c.kind}"
            for _, c in early
            if c.transition == "raise" and CLASS_OF[c.kind] == "alarm"
        ]
        top = max(values["optical_density_db_m"] for _, values in samples)
        result.smoke[run, channel] = (top, heard.first("smoke"), decide(samples).first("smoke"))
    elif channel.startswith("GAS"):
        quantity, convert = _GAS[channel[-1]]
        gas: Samples = [(at_s, {quantity: convert(value)}) for at_s, value in _column(rows, channel)]
        result.gas[run, channel] = decide(gas)
    elif channel.startswith("TC") and channel.endswith("_1"):
        ceiling: Samples = [(at_s, {"temperature_c": value}) for at_s, value in _column(rows, channel)]
        hottest = max(values["temperature_c"] for _, values in ceiling)
        result.heat[run, channel] = (hottest, decide(ceiling).first("heat"))


def _smoke_channels(result: Nist, run: str, room: str) -> list[str]:
    return [ch for r, ch in result.smoke if r == run and ch.startswith(f"SM{room}_")]


def _room_first(result: Nist, run: str, room: str) -> tuple[float | None, float | None]:
    entries = [result.smoke[run, channel] for channel in _smoke_channels(result, run, room)]
    ours = [ours_s for _, ours_s, _ in entries if ours_s is not None]
    cold = [cold_s for _, _, cold_s in entries if cold_s is not None]
    return min(ours, default=None), min(cold, default=None)


def rooms_in_smoke(result: Nist) -> dict[tuple[str, str], float | None]:
    """Every room whose smoke channel reaches 1 dB/m or more, and when ours is raised in it."""
    rooms: dict[tuple[str, str], float | None] = {}
    for (run, channel), (top, _, _) in result.smoke.items():
        if top >= WORKING_DB_M and channel[2] in ROOMS and channel[3] == "_":
            rooms[run, channel[2]] = _room_first(result, run, channel[2])[0]
    return rooms


# --- kitchens, rooms, winters, burning rooms


@dataclass(frozen=True)
class Kitchen:
    """One household: its highest value, ours, and the EN 50291 window of its longest dangerous run."""

    household: int
    peak_ppm: float
    ours_s: float | None
    earliest_s: float | None
    latest_s: float | None
    exposure_s: float | None


#: EN 50291 rows that demand an alarm [S]: ppm, must not alarm before, must alarm by (min).
_EN_ROWS = ((50.0, 60.0, 90.0), (100.0, 10.0, 40.0), (300.0, 0.0, 3.0))


def kitchens(folder: Path) -> list[Kitchen]:
    """The nine kitchens, their three phases one after the other."""
    by_household: dict[int, Samples] = {}
    with (folder / "co_minute_hh05_13.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            moment = datetime.fromisoformat(f"{row['Date']}T{row['Time']}").replace(tzinfo=UTC)
            household = int(row["Stage"].split(".")[0])
            by_household.setdefault(household, []).append(
                (moment.timestamp(), {"co_ppm": float(row["CO(ppm)"])})
            )
    return [_kitchen(number, samples) for number, samples in sorted(by_household.items())]


def _kitchen(number: int, samples: Samples) -> Kitchen:
    begin_s = samples[0][0]
    samples = [(at_s - begin_s, values) for at_s, values in samples]
    heard = decide(samples)
    earliest_s, latest_s = en_window(samples)
    return Kitchen(
        number,
        max(values["co_ppm"] for _, values in samples),
        heard.first("co"),
        earliest_s,
        latest_s,
        heard.first("co_exposure"),
    )


def en_window(samples: Samples) -> tuple[float | None, float | None]:
    """When EN 50291 allows and when it demands an alarm; None where it demands none.

    Demanded: the first moment at which a row's ppm was held or passed for the row's longest time.
    Allowed: as if the highest value of the whole run above 50 ppm had stood from its beginning.
    """
    latest: list[tuple[float, float]] = []
    for ppm, _, longest_min in _EN_ROWS:
        since_s: float | None = None
        for at_s, values in samples:
            if values["co_ppm"] < ppm:
                since_s = None
                continue
            since_s = at_s if since_s is None else since_s
            if at_s - since_s >= longest_min * 60.0:
                latest.append((since_s + longest_min * 60.0, since_s))
                break
    if not latest:
        return None, None
    latest_s, _ = min(latest)
    start_s, highest = latest_s, 0.0
    for at_s, values in reversed([s for s in samples if s[0] <= latest_s]):
        if values["co_ppm"] < _EN_ROWS[0][0]:
            break
        start_s, highest = at_s, max(highest, values["co_ppm"])
    shortest_min = min(low for ppm, low, _ in _EN_ROWS if ppm <= highest)
    return start_s + shortest_min * 60.0, latest_s


def environment(folder: Path) -> dict[str, tuple[int, Heard]]:
    """A day of three uncalibrated devices: how many messages, and what came of them."""
    with gzip.open(folder / "raw_data_large.json.gz", "rt", encoding="utf-8") as raw:
        messages: list[dict[str, Any]] = json.load(raw)
    devices: dict[str, Samples] = {}
    for message in sorted(messages, key=lambda one: float(one["ts"])):
        data = message["data"]
        values = {
            "co_ppm": float(data["co"]),
            "optical_density_db_m": float(data["smoke"]),
            "temperature_c": float(data["temp"]),
            "humidity_pct": float(data["humidity"]),
        }
        devices.setdefault(str(message["device"]), []).append((float(message["ts"]), values))
    return {device: (len(samples), decide(samples)) for device, samples in sorted(devices.items())}


@dataclass(frozen=True)
class Winter:
    """A winter of Ulaanbaatar's air as a smoke detector with its window open would see it."""

    name: str
    hours: int
    highest_ug_m3: float
    highest_db_m: float
    heard: Heard


def winters(folder: Path) -> list[Winter]:
    """Each winter (October to March) of the recording."""
    path = folder / "weather-and-aqi-v5.csv.gz"
    by_winter: dict[str, Samples] = {}
    with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            moment = datetime.strptime(row["Date (LST)"], "%m/%d/%Y %H:%M").replace(tzinfo=UTC)
            if row["Value"] and (moment.month >= 10 or moment.month <= 3):
                year = moment.year if moment.month >= 10 else moment.year - 1
                values = smog(float(row["Value"]))
                if row["TEMP"].strip():
                    values["temperature_c"] = c_from_f(float(row["TEMP"]))
                by_winter.setdefault(f"{year}/{(year + 1) % 100:02d}", []).append(
                    (moment.timestamp(), values)
                )
    return [
        Winter(
            name,
            len(samples),
            max(values["pm25_ug_m3"] for _, values in samples),
            max(values["optical_density_db_m"] for _, values in samples),
            decide(samples),
        )
        for name, samples in sorted(by_winter.items())
    ]


def smog(mg_m3: float) -> dict[str, float]:
    """PM2.5, and the optical density of that much smoke: 4.343 · 8.7 m²/g · g/m³ in dB/m."""
    return {
        "pm25_ug_m3": max(-1000.0, mg_m3 * 1000.0),
        "optical_density_db_m": _DB_PER_NEPER * _EXTINCTION_M2_G * mg_m3 / 1000.0,
    }


@dataclass(frozen=True)
class Ceiling:
    """A room of a burning house: when its ceiling reaches 54 °C, and when ours is raised."""

    experiment: int
    room: str
    hottest_c: float
    reaches_54_c_s: float | None
    ours_s: float | None


def burning_rooms(folder: Path) -> list[Ceiling]:
    """Every ceiling temperature of the gas burner experiments."""
    found: list[Ceiling] = []
    for experiment in (1, 22, 28):
        path = folder / f"Gas_Burner_Experiment_{experiment}.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        for column in (name for name in rows[0] if name.endswith("Temperature 2.41 m Above Floor")):
            samples: Samples = [
                (float(row["Time"]), {"temperature_c": float(row[column])})
                for row in rows
                if row[column]
            ]
            hot = (at_s for at_s, values in samples if values["temperature_c"] >= 54.0)
            found.append(
                Ceiling(
                    experiment,
                    column.removesuffix(" Temperature 2.41 m Above Floor"),
                    max(values["temperature_c"] for _, values in samples),
                    next(hot, None),
                    decide(samples).first("heat"),
                )
            )
    return found


# --- the document


def document(data: Path) -> str:
    """The whole evidence as Markdown."""
    parts = [
        _HEAD,
        *_nist_part(nist(data / "nist-smoke-alarms")),
        *_kitchen_part(kitchens(data / "household-stove-co")),
        *_environment_part(environment(data / "iot-env-telemetry")),
        *_winter_part(winters(data / "ulaanbaatar-pm25-hourly")),
        *_burning_part(burning_rooms(data / "fsri-hvac-gasburner")),
    ]
    return "\n".join(parts).rstrip() + "\n"


_HEAD = """# What the alarms do on recordings

Made by `utaa edge evidence`; do not edit. One setting for everything: the defaults of
`edge.alarms.Settings`. The recordings and their licences are described where they lie. None of this is
a certification: the software supplements a detector, it never replaces it.
"""


def _table(header: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = [name.strip() for name in header.split("|")]
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _s(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.0f}"


def _nist_part(result: Nist) -> Iterator[str]:
    yield "## Flaming fires in a manufactured home (NIST, four runs)\n"
    in_time = sum(pair.in_time for pair in result.pairs)
    raised = sum(pair.ours_s is not None for pair in result.pairs)
    yield (
        "Pairs: every photoelectric activation in a room with a smoke channel (SDC10 recorded none in "
        "room E). Each channel is a detector of its own; the first of a room counts. Before each run "
        "stands an hour of noise drawn from what the channel read in its first ten seconds; *cold* is "
        "without it.\n"
    )
    yield (
        f"Ours is raised in {raised} of {len(result.pairs)} pairs, and no later than the real alarm + "
        f"{LATE_S:.0f} s in {in_time} ({100 * in_time / len(result.pairs):.0f} %). The others are real "
        "alarms that sounded while the photometer in their room still read almost clean air.\n"
    )
    yield (
        f"Alarms during the hours of noise: {len(result.prelude_raises)}"
        + (f" ({', '.join(result.prelude_raises)})" if result.prelude_raises else "")
        + ".\n"
    )
    rows = (
        (
            pair.run, pair.alarm, _s(pair.real_s), _s(pair.ours_s), _s(pair.cold_s),
            "–" if pair.ours_s is None else f"{pair.ours_s - pair.real_s:+.0f}",
            "yes" if pair.in_time else "no",
        )
        for pair in result.pairs
    )  # fmt: skip
    yield from _table("run | real alarm | real s | ours s | cold s | difference s | in time", rows)
    rooms = rooms_in_smoke(result)
    missed = [f"{run} {room}" for (run, room), at_s in rooms.items() if at_s is None]
    yield (
        f"Rooms whose smoke channel reaches {WORKING_DB_M:g} dB/m: {len(rooms)}; without a smoke alarm "
        f"of ours: {', '.join(missed) if missed else 'none'}.\n"
    )
    yield from _table(
        "run | room | smoke raised s", ((run, room, _s(at_s)) for (run, room), at_s in rooms.items())
    )
    yield (
        "Gas channels. A doubtful CO channel that reads high is an alarm and a fault; a doubtful CO2 "
        "or O2 channel is a fault. Not listed: channels of which nothing came.\n"
    )
    gas = (
        (run, channel, _s(heard.first("co")), _s(heard.first("fault")), _first_fault(heard))
        for (run, channel), heard in result.gas.items()
        if heard.changes
    )
    yield from _table("run | channel | CO alarm s | fault s | why", gas)
    yield "Temperature under the ceiling (class A1).\n"
    hot = (
        (run, channel, f"{hottest:.0f}", _s(at_s))
        for (run, channel), (hottest, at_s) in result.heat.items()
        if hottest >= 40.0
    )
    yield from _table("run | channel | hottest °C | heat raised s", hot)


def _first_fault(heard: Heard) -> str:
    return next((c.reason for _, c in heard.changes if c.kind == "fault"), "–")


def _kitchen_part(found: list[Kitchen]) -> Iterator[str]:
    yield "## Kitchens with biomass stoves (minute CO, nine households)\n"
    rows = (
        (
            str(one.household), f"{one.peak_ppm:.0f}", _s(one.ours_s),
            "silent" if one.latest_s is None else f"{_s(one.earliest_s)} to {_s(one.latest_s)}",
            _s(one.exposure_s),
        )
        for one in found
    )  # fmt: skip
    yield from _table("household | peak ppm | CO raised s | EN 50291 window s | WHO notice s", rows)


def _environment_part(found: dict[str, tuple[int, Heard]]) -> Iterator[str]:
    yield "## A day of uncalibrated sensors (three devices, 24 h)\n"
    yield "Their CO and smoke columns are unitless and taken as ppm and dB/m.\n"
    rows = (
        (device, str(count), ", ".join(sorted(heard.raised())) or "nothing")
        for device, (count, heard) in found.items()
    )
    yield from _table("device | messages | raised", rows)


def _winter_part(found: list[Winter]) -> Iterator[str]:
    yield "## Winters of Ulaanbaatar (hourly PM2.5 outdoors)\n"
    yield (
        "PM2.5 is fed as itself and as the optical density of that much flaming smoke "
        f"(4.343 · {_EXTINCTION_M2_G} m²/g [M] · g/m³), as if the detector hung in the open.\n"
    )
    rows = (
        (
            one.name, str(one.hours), f"{one.highest_ug_m3:.0f}", f"{one.highest_db_m:.3f}",
            ", ".join(sorted(k for k in one.heard.raised() if CLASS_OF[k] == "alarm")) or "nothing",  # type: ignore[index]
            ", ".join(sorted(k for k in one.heard.raised() if CLASS_OF[k] != "alarm")) or "nothing",  # type: ignore[index]
        )
        for one in found
    )  # fmt: skip
    yield from _table("winter | hours | highest µg/m³ | highest dB/m | alarms | troubles", rows)
    yield "Troubles are gaps of the station longer than 25 h.\n"


def _burning_part(found: list[Ceiling]) -> Iterator[str]:
    yield "## Rooms of a burning house (gas burner, ceiling temperatures)\n"
    rows = (
        (
            str(one.experiment), one.room, f"{one.hottest_c:.0f}", _s(one.reaches_54_c_s),
            _s(one.ours_s),
        )
        for one in found
    )  # fmt: skip
    yield from _table("experiment | room | hottest °C | reaches 54 °C s | heat raised s", rows)


def evidence(
    data: Annotated[Path, typer.Option(help="the folder with the recordings")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="the document to write")] = Path("docs/alarm-evidence.md"),
) -> None:
    """Decide all recordings with one setting and write the figures down."""
    if not data.is_dir():
        typer.echo(f"utaa: evidence {data}: no such folder: name it with --data", err=True)
        raise typer.Exit(2)
    try:
        text = document(data)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        where = error.filename or out
        typer.echo(f"utaa: evidence {where}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{out}: {len(text.splitlines())} lines")
