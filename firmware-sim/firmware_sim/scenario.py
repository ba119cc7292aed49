"""Scenarios: which homes there are, and what happens to them when. Read from TOML.

A scenario has top keys, a table per home (or per group of like homes) and a table per happening:

    name = "demo"
    seed = 7
    interval_s = 10

    [[homes]]
    name = "ger-001"
    khoroo = "MN112573"
    detectors = ["smoke", "co"]

    [[happenings]]
    at_s = 20
    home = "ger-001"
    what = "flaming_fire"
    for_s = 60

Nothing here names a person: a home is a label, a detector an address like ``ger-001-smoke``. Every
mistake is a ``ScenarioError`` that says where it is and what was expected.
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from firmware_sim.errors import ScenarioError
from firmware_sim.model.activities import ACTIVITY_KINDS, Activity

DetectorKind = Literal["smoke", "co", "heat", "combined"]
FormatName = Literal["native", "zigbee2mqtt"]
Connection = Literal["each", "concentrator"]
TroubleKind = Literal[
    "low_battery", "drop_off", "wrong_clock", "duplicates", "garbage", "self_test", "tamper"
]  # fmt: skip
TROUBLE_KINDS: tuple[str, ...] = get_args(TroubleKind)
What = Literal[
    "flaming_fire", "smouldering_fire", "cooking", "stove", "blocked_chimney",
    "low_battery", "drop_off", "wrong_clock", "duplicates", "garbage", "self_test", "tamper",
]  # fmt: skip

#: How long a happening lasts when it does not say: a fire is found, a test button is let go.
USUAL_S: dict[str, float] = {
    "flaming_fire": 90.0,
    "smouldering_fire": 1800.0,
    "cooking": 1800.0,
    "stove": 7200.0,
    "blocked_chimney": 3600.0,
    "low_battery": math.inf,
    "drop_off": 120.0,
    "wrong_clock": 300.0,
    "duplicates": 120.0,
    "garbage": 60.0,
    "self_test": 10.0,
    "tamper": 60.0,
}
#: One process simulates at most this many detectors; above, start a second one with another site.
MAX_DETECTORS = 50_000
#: A repeated happening unrolls to at most this many.
MAX_REPEATS = 10_000

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class HomeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A home, or ``count`` like homes named ``name-001`` and so on.

    ``khoroo`` is the official code of a real khoroo (``MN112573``) and only a label.
    """

    name: Label
    kind: Literal["ger", "house"] = "ger"
    khoroo: Annotated[str, msgspec.Meta(pattern=r"^(MN\d{6})?$")] = ""
    detectors: Annotated[list[DetectorKind], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["smoke", "co"]
    )
    format: FormatName = "native"
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    siren: bool = False
    #: how long ago its detectors were installed: drift and battery follow from it
    age_years: NotNegative = 0.5


class Happening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens, when, to which home (and to which of its detectors, where it concerns one).

    ``intensity`` scales a fire, a stove, a blocked chimney. ``offset_s`` is how wrong a wrong clock
    is (absent: it never was set and counts from 1970). ``keeps`` lets a detector that dropped off
    measure on and send later. ``every_s`` repeats the happening as long as the scenario lasts.
    """

    at_s: NotNegative
    home: str
    what: What
    for_s: Positive | None = None
    detector: DetectorKind | None = None
    intensity: Positive = 1.0
    offset_s: float | None = None
    keeps: bool = False
    every_s: Positive | None = None

    @property
    def lasts_s(self) -> float:
        """Seconds it goes on."""
        return USUAL_S[self.what] if self.for_s is None else self.for_s

    @property
    def over_s(self) -> float:
        """When it ends."""
        return self.at_s + self.lasts_s

    def holds_at(self, at_s: float) -> bool:
        """Whether it goes on at that moment."""
        return self.at_s <= at_s < self.over_s


class DetectorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One detector of one home."""

    address: str
    home: str
    kind: DetectorKind
    format: FormatName
    khoroo: str


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario, homes and happenings unrolled by ``load`` and checked against each other."""

    name: Label
    about: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 1
    interval_s: Positive = 60.0
    #: it ends by itself after this; absent: it runs until stopped
    lasts_s: Positive | None = None
    connection: Connection = "each"
    homes: Annotated[list[HomeSpec], msgspec.Meta(min_length=1)]
    happenings: list[Happening] = []

    def detectors(self) -> list[DetectorSpec]:
        """All detectors, in the order of their homes."""
        return [detector for home in self.homes for detector in self.detectors_of(home)]

    def detectors_of(self, home: HomeSpec) -> list[DetectorSpec]:
        """One home's detectors, named ``<home>-<kind>``."""
        return [
            DetectorSpec(
                address=f"{home.name}-{kind}",
                home=home.name,
                kind=kind,
                format=home.format,
                khoroo=home.khoroo,
            )
            for kind in home.detectors
        ]

    def sirens(self) -> list[str]:
        """Addresses of the sirens, one for each home that has one."""
        return [f"{home.name}-siren" for home in self.homes if home.siren]

    def activities_of(self, home: str) -> tuple[Activity, ...]:
        """What burns, cooks or leaks in a home over the scenario."""
        return tuple(
            Activity(each.what, each.at_s, each.lasts_s, each.intensity)  # type: ignore[arg-type]
            for each in self.happenings
            if each.home == home and each.what in ACTIVITY_KINDS
        )

    def troubles_of(self, detector: DetectorSpec) -> tuple[Happening, ...]:
        """What goes wrong with one detector over the scenario."""
        return tuple(
            each
            for each in self.happenings
            if each.what in TROUBLE_KINDS
            and each.home == detector.home
            and each.detector in (None, detector.kind)
        )


def shipped() -> dict[str, str]:
    """The scenarios that come with the program: name → text of the TOML file."""
    folder = resources.files("firmware_sim") / "scenarios"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def load(name_or_path: str) -> Scenario:
    """A shipped scenario by its name, or one from a file. Raises ``ScenarioError``."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        texts = shipped()
        if name_or_path in texts:
            return parse(texts[name_or_path], name_or_path)
        raise ScenarioError(
            name_or_path, f"no such scenario; expected one of {', '.join(texts)} or a .toml file"
        )
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ScenarioError(name_or_path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(name_or_path, "is no UTF-8 text; expected a TOML file") from None


def parse(text: str, where: str) -> Scenario:
    """The scenario in a TOML text; ``where`` names it in errors. Raises ``ScenarioError``."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(where, f"is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ScenarioError(where, _readable(str(error))) from None
    homes = _unrolled_homes(scenario)
    _check_homes(homes, where)
    happenings = _unrolled_happenings(scenario, homes, where)
    return msgspec.structs.replace(scenario, homes=homes, happenings=happenings)


def _readable(message: str) -> str:
    """msgspec's ``… - at `$.homes[0].kind``` with the place first and a known vocabulary."""
    what, separator, place = message.partition(" - at `$.")
    text = f"{place.rstrip('`')}: {what}" if separator else what
    if "unknown field" in what:
        kind = Happening if "happenings" in place else HomeSpec if "homes" in place else Scenario
        text += f"; expected one of {', '.join(kind.__struct_fields__)}"
    elif "Invalid enum value" in what and "what" in place:
        text += f"; expected one of {', '.join(USUAL_S)}"
    return text


def _unrolled_homes(scenario: Scenario) -> list[HomeSpec]:
    homes: list[HomeSpec] = []
    for home in scenario.homes:
        if home.count == 1:
            homes.append(home)
            continue
        homes += (
            msgspec.structs.replace(home, name=f"{home.name}-{number:03d}", count=1)
            for number in range(1, home.count + 1)
        )
    return homes


def _check_homes(homes: list[HomeSpec], where: str) -> None:
    names = [home.name for home in homes]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ScenarioError(where, f"homes: {double!r} is there twice; expected different names")
    for home in homes:
        if len(set(home.detectors)) < len(home.detectors):
            raise ScenarioError(where, f"homes: {home.name!r} has two detectors of one kind")
    total = sum(len(home.detectors) for home in homes)
    if total > MAX_DETECTORS:
        raise ScenarioError(where, f"homes: {total} detectors; at most {MAX_DETECTORS}")


def _unrolled_happenings(scenario: Scenario, homes: list[HomeSpec], where: str) -> list[Happening]:
    by_name = {home.name: home for home in homes}
    happenings: list[Happening] = []
    for number, each in enumerate(scenario.happenings):
        place = f"happenings[{number}]"
        _check_happening(each, by_name, where, place)
        if each.every_s is None:
            happenings.append(each)
            continue
        if scenario.lasts_s is None:
            raise ScenarioError(where, f"{place}: every_s needs the scenario's lasts_s")
        repeats = math.ceil((scenario.lasts_s - each.at_s) / each.every_s)
        if repeats > MAX_REPEATS:
            raise ScenarioError(where, f"{place}: repeats {repeats} times; at most {MAX_REPEATS}")
        happenings += (
            msgspec.structs.replace(each, at_s=each.at_s + turn * each.every_s, every_s=None)
            for turn in range(repeats)
        )
    return sorted(happenings, key=lambda each: each.at_s)


def _check_happening(happening: Happening, homes: dict[str, HomeSpec], where: str, place: str) -> None:
    home = homes.get(happening.home)
    if home is None:
        raise ScenarioError(
            where, f"{place}.home: there is no home {happening.home!r}; expected a name from homes"
        )
    if happening.detector is not None and happening.detector not in home.detectors:
        raise ScenarioError(
            where,
            f"{place}.detector: {home.name} has no {happening.detector!r} detector; "
            f"expected one of {', '.join(home.detectors)}",
        )
    if happening.offset_s is not None and happening.what != "wrong_clock":
        raise ScenarioError(where, f"{place}.offset_s: only a wrong_clock has one")
    if happening.keeps and happening.what != "drop_off":
        raise ScenarioError(where, f"{place}.keeps: only a drop_off has it")
    if happening.detector is not None and happening.what in ACTIVITY_KINDS:
        raise ScenarioError(where, f"{place}.detector: a {happening.what} concerns the whole home")
