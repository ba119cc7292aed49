"""Administrative units that ship with the program: the capital, its districts, their khoroos.

A khoroo's code is its district's and two digits that follow from its number (the statistics office's
rule), so 204 khoroos need no list.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

#: The rule of the khoroo codes: the n-th has 51 + 2(n-1) up to the 25th, then 52 + 2(n-26).
_LAST_ODD: Final = 25


@dataclass(frozen=True)
class Unit:
    """A district or khoroo. A khoroo has no centre of its own here, it shows its district's."""

    code: str
    parent: str | None
    kind: str
    name_mn: str
    name_en: str
    lat: float | None
    lon: float | None


def khoroo_code(district: str, number: int) -> str:
    """The code of a district's n-th khoroo: 1116, 32 → 111664."""
    if number < 1 or number > 2 * _LAST_ODD:
        raise ValueError(f"khoroo {number}: expected 1 to {2 * _LAST_ODD}")
    suffix = 51 + 2 * (number - 1) if number <= _LAST_ODD else 52 + 2 * (number - _LAST_ODD - 1)
    return f"{district}{suffix}"


def units() -> list[Unit]:
    """Every unit: the capital, then each district followed by its khoroos."""
    facts = tomllib.loads(files("registry").joinpath("data/units.toml").read_text(encoding="utf-8"))
    city = facts["city"]
    result = [Unit(city["code"], None, "capital", city["name_mn"], city["name_en"], None, None)]
    for district in facts["district"]:
        code, lat, lon = district["code"], district["lat"], district["lon"]
        names = (district["name_mn"], district["name_en"])
        result.append(Unit(code, city["code"], "district", *names, lat, lon))
        for number in range(1, district["khoroos"] + 1):
            own = (f"{number}-р хороо", f"khoroo {number}")
            result.append(Unit(khoroo_code(code, number), code, "khoroo", *own, lat, lon))
    return result


@lru_cache(maxsize=1)
def _by_code() -> dict[str, Unit]:
    return {unit.code: unit for unit in units()}


def unit_name(code: str, language: str = "mn") -> str:
    """A khoroo with its district, as people say it; the code itself for one we do not know."""
    unit = _by_code().get(code)
    if unit is None:
        return code
    name = unit.name_en if language == "en" else unit.name_mn
    district = _by_code().get(unit.parent or "") if unit.kind == "khoroo" else None
    if district is None:
        return name
    return f"{district.name_en if language == 'en' else district.name_mn}, {name}"
