"""The loss of a way of light, and what would mend one that is too high.

loss = length · attenuation + splices + connectors + splitters; what was measured stands for its
default. The defaults are data with a source each (``registry/data/fibre_losses.toml``); the office's
own values replace them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal, NamedTuple

from registry.fibre.trace import Hop, Trace

Verdict = Literal["ok", "tight", "fails"]
MendKind = Literal["resplice", "splice_instead_of_patch", "other_wavelength", "smaller_splitter"]
WAVELENGTHS_NM: Final = (1310, 1490, 1550)
SPLITS: Final = (2, 4, 8, 16, 32, 64)
#: Splices are not mended for less.
_WORTH_MENDING_DB: Final = 0.05


class Sourced(NamedTuple):
    """A figure and where it comes from."""

    value: float
    source: str


@lru_cache
def shipped_losses() -> Mapping[str, Sourced]:
    """The figures that ship, by name."""
    text = files("registry").joinpath("data/fibre_losses.toml").read_text(encoding="utf-8")
    return {name: Sourced(each["value"], each["source"]) for name, each in tomllib.loads(text).items()}


@dataclass(frozen=True)
class Losses:
    """The figures in use: the shipped ones, replaced by the office's own."""

    own: Mapping[str, Sourced] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """The figure of this name. Raises ``KeyError`` for a name that is none."""
        return (self.own.get(name) or shipped_losses()[name]).value

    def attenuation_db_km(self, wavelength_nm: int) -> float:
        """Raises ``ValueError`` for a wavelength without a figure."""
        if wavelength_nm not in WAVELENGTHS_NM:
            raise ValueError(
                f"{wavelength_nm} nm; expected one of {', '.join(map(str, WAVELENGTHS_NM))}"
            )
        return self.of(f"attenuation_{wavelength_nm}_db_km")

    def splitter_db(self, outputs: int) -> float:
        """Of a splitter with so many outputs: the next one there is a figure for."""
        fitting = next((split for split in SPLITS if split >= outputs), SPLITS[-1])
        return self.of(f"splitter_{fitting}_db")


class Mend(NamedTuple):
    """Something that would lower the loss; ``enough``: by itself it would do."""

    kind: MendKind
    at: str
    saves_db: float
    enough: bool


@dataclass(frozen=True)
class Budget:
    """A way's loss, held against what it may be."""

    wavelength_nm: int
    length_m: float
    splices: int
    connectors: int
    splitters: tuple[int, ...]
    fibre_db: float
    splice_db: float
    connector_db: float
    splitter_db: float
    target_db: float
    margin_db: float
    verdict: Verdict
    mends: tuple[Mend, ...] = ()

    @property
    def loss_db(self) -> float:
        return self.fibre_db + self.splice_db + self.connector_db + self.splitter_db

    @property
    def left_db(self) -> float:
        """What is left of the target; below the margin it is tight, below nothing it fails."""
        return self.target_db - self.loss_db


def loss_db(
    *, length_m: float, splices: int, connectors: int, splitters: Iterable[int], wavelength_nm: int,
    losses: Losses | None = None,
) -> float:  # fmt: skip
    """Counted by hand: so much strand, so many splices, connectors and splitters (their outputs)."""
    use = losses or Losses()
    return (
        length_m / 1000 * use.attenuation_db_km(wavelength_nm)
        + splices * use.of("splice_db")
        + connectors * use.of("connector_db")
        + sum(use.splitter_db(outputs) for outputs in splitters)
    )


def budget(
    way: Trace, *, wavelength_nm: int = 1310, target_db: float | None = None,
    losses: Losses | None = None,
) -> Budget:  # fmt: skip
    """The way's loss against the target (without one: GPON class B+)."""
    use = losses or Losses()
    joints = [hop for hop in way.hops if hop.kind in ("splice", "termination")]
    splitters = tuple(hop.outputs for hop in way.hops if hop.outputs)
    connectors = sum(hop.connectors for hop in way.hops)
    target = use.of("gpon_b_plus_db") if target_db is None else target_db
    result = Budget(
        wavelength_nm=wavelength_nm,
        length_m=way.length_m,
        splices=len(joints),
        connectors=connectors,
        splitters=splitters,
        fibre_db=way.length_m / 1000 * use.attenuation_db_km(wavelength_nm),
        splice_db=sum(hop_loss_db(hop, wavelength_nm, use) for hop in joints),
        connector_db=connectors * use.of("connector_db")
        + sum(hop.loss_db or 0.0 for hop in way.hops if hop.kind == "patch"),
        splitter_db=sum(use.splitter_db(outputs) for outputs in splitters),
        target_db=target,
        margin_db=use.of("margin_db"),
        verdict="ok",
    )
    verdict = judge(result.loss_db, target, result.margin_db)
    mends = () if verdict == "ok" else tuple(_mends(way, result, use))
    return Budget(**{**vars(result), "verdict": verdict, "mends": mends})


def judge(loss: float, target: float, margin: float) -> Verdict:
    """ok with the margin, tight within it, fails beyond the target."""
    if loss > target:
        return "fails"
    return "ok" if loss + margin <= target else "tight"


def hop_loss_db(hop: Hop, wavelength_nm: int, losses: Losses) -> float:
    """What light loses at one hop: measured where it was, else reckoned."""
    if hop.kind == "strand":
        return hop.length_m / 1000 * losses.attenuation_db_km(wavelength_nm)
    if hop.kind in ("splice", "termination"):
        return losses.of("splice_db") if hop.loss_db is None else hop.loss_db
    if hop.kind == "splitter":
        return losses.splitter_db(hop.outputs) if hop.outputs else 0.0
    return (hop.loss_db or 0.0) + hop.connectors * losses.of("connector_db")


def _mends(way: Trace, found: Budget, losses: Losses) -> Iterable[Mend]:
    """What lowers the loss, the most first."""
    short = found.loss_db + found.margin_db - found.target_db
    made: list[tuple[MendKind, str, float]] = []
    splice, connector = losses.of("splice_db"), losses.of("connector_db")
    for hop in way.hops:
        if hop.kind in ("splice", "termination") and hop.loss_db is not None:
            made.append(("resplice", hop.ref, hop.loss_db - splice))
        elif hop.kind == "port":
            made.append(("splice_instead_of_patch", hop.ref, connector - splice))
        elif hop.outputs > SPLITS[0]:
            smaller = max(split for split in SPLITS if split < hop.outputs)
            saved = losses.splitter_db(hop.outputs) - losses.splitter_db(smaller)
            made.append(("smaller_splitter", f"{hop.ref.partition('/')[0]} 1:{smaller}", saved))
    best = min(WAVELENGTHS_NM, key=losses.attenuation_db_km)
    less = losses.attenuation_db_km(found.wavelength_nm) - losses.attenuation_db_km(best)
    made.append(("other_wavelength", f"{best} nm", less * found.length_m / 1000))
    worth = sorted((each for each in made if each[2] > _WORTH_MENDING_DB), key=lambda each: -each[2])
    return [Mend(kind, at, round(saved, 2), saved >= short) for kind, at, saved in worth]
