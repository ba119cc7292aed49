"""Homes as a physicist sees them: a volume, its leaks and its heat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dwelling:
    """One room of air under one roof.

    ``upper_share`` is the share of the volume under the roof where warm smoke gathers first and where
    the detector hangs; ``mixing_s`` is the time in which it mixes with the air below.
    """

    name: str
    volume_m3: float
    ceiling_m: float
    air_changes_per_h: float
    upper_share: float
    mixing_s: float
    #: heat lost to outside, kW per K, ventilation included
    heat_loss_kw_k: float
    #: heat passed between the air and all that stands in it, kW per K
    exchange_kw_k: float
    #: heat capacity of walls, beds and chests that take part within an hour, kJ per K
    contents_kj_k: float
    #: what people keep it at in winter
    usual_c: float = 18.0

    @property
    def air_kj_k(self) -> float:
        """Heat capacity of the air: 1.2 kg/m³ times 1.0 kJ/(kg K)."""
        return 1.2 * self.volume_m3


@dataclass(frozen=True, slots=True)
class Outdoors:
    """A winter night in the valley. [M]"""

    temperature_c: float = -20.0
    co_ppm: float = 1.0


#: A ger of five walls: radius 3 m, wall 1.5 m, crown 2.4 m: π·9·1.5 + π·9·0.9/3 ≈ 51 m³. Felt and the
#: crown leak: 1.5 air changes per hour. Losses are set so that 6 kW of stove hold 20 °C at −20 °C. [M]
GER = Dwelling("ger", 51.0, 2.4, 1.5, 0.35, 120.0, 0.14, 1.5, 600.0)

#: A small brick or timber house of the ger districts: 40 m² under a flat ceiling, tighter. [M]
HOUSE = Dwelling("house", 96.0, 2.4, 0.7, 0.30, 180.0, 0.16, 2.4, 2400.0)

DWELLINGS: dict[str, Dwelling] = {home.name: home for home in (GER, HOUSE)}
