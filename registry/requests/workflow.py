"""The life of a request as a literal table, and the days its answer may take as data."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Final, Literal, get_args

from registry.steps import Step

State = Literal["received", "handed", "answered", "closed"]
Move = Literal["hand", "answer", "rate"]
Kind = Literal["complaint", "suggestion", "request"]
Subject = Literal["camera", "detector", "network", "service", "other"]
Channel = Literal["page", "desk", "phone", "letter"]
STATES: Final[tuple[State, ...]] = get_args(State)
MOVES: Final[tuple[Move, ...]] = get_args(Move)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_MAX_DAYS: Final = 365
_FILE: Final = "requests.toml"

TABLE: Final[dict[Move, Step]] = {
    "hand": Step(frozenset({"received", "handed"}), "handed", "request.write"),
    "answer": Step(frozenset({"received", "handed"}), "answered", "request.write"),
    "rate": Step(frozenset({"answered"}), "closed", "request.send"),
}


class PolicyError(ValueError):
    """The city's own days are none; the text says where and what was expected."""


def answer_days(data_dir: Path | None = None) -> dict[Kind, int]:
    """Days until an answer is due: the city's file if there is one, else what ships.

    Raises ``PolicyError``.
    """
    shipped = resources.files("registry") / "data" / _FILE
    own = data_dir / _FILE if data_dir is not None else None
    source = own if own is not None and own.is_file() else shipped
    try:
        days = tomllib.loads(source.read_text(encoding="utf-8")).get("days")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{_FILE}: {error}") from None
    good = isinstance(days, dict) and all(
        isinstance(days.get(kind), int) and 1 <= days[kind] <= _MAX_DAYS for kind in KINDS
    )
    if not good or not isinstance(days, dict):
        raise PolicyError(f"{_FILE} [days]: expected 1 to {_MAX_DAYS} for {', '.join(KINDS)}")
    return {kind: days[kind] for kind in KINDS}
