"""Colours of tubes and strands. The schemes are data: ``registry/data/fibre_colours.toml``."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple


class Colours(NamedTuple):
    """A strand as a splicer finds it: its tube's number and colour, and its own."""

    tube: int
    tube_colour: str
    strand: int
    strand_colour: str


@lru_cache
def schemes() -> dict[str, tuple[str, ...]]:
    """Colours in their order, by the scheme's name."""
    text = files("registry").joinpath("data/fibre_colours.toml").read_text(encoding="utf-8")
    return {name: tuple(colours) for name, colours in tomllib.loads(text)["scheme"].items()}


def colours_of(number: int, strands_per_tube: int = 12, scheme: str = "tia-598") -> Colours:
    """Tube and strand of the cable's strand ``number`` (from 1).

    Past the scheme's last colour the count begins again with a tracer mark: ``blue-2`` is blue with a
    mark. Raises ``ValueError`` for an unknown scheme or a number below 1.
    """
    if number < 1 or strands_per_tube < 1:
        raise ValueError(f"strand {number}: expected a number from 1")
    order = schemes().get(scheme)
    if order is None:
        raise ValueError(f"colour scheme {scheme!r}; expected one of {', '.join(sorted(schemes()))}")
    tube, strand = (number - 1) // strands_per_tube + 1, (number - 1) % strands_per_tube + 1
    return Colours(tube, _colour(order, tube), strand, _colour(order, strand))


def _colour(order: tuple[str, ...], number: int) -> str:
    lap, place = divmod(number - 1, len(order))
    return order[place] if lap == 0 else f"{order[place]}-{lap + 1}"
