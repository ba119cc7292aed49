"""Settings of the alarms of one detector: every threshold has a name, a unit and a source.

Marks: [S] read in a source, [M] from memory and an editable default, [D] our own choice, held by the
recordings in ``docs/alarm-evidence.md``. No text of a standard was at hand: nothing here is certified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

#: A device that says nothing else may be silent this long: what Zigbee2MQTT grants battery devices [S].
DEFAULT_DEADLINE_S = 25 * 3600.0
#: A lost wireless device shows within this [M], but never before three of its reports are missing [D].
SHORTEST_DEADLINE_S = 200.0
_MISSED_REPORTS = 3

#: No duration, level or temperature of ours is larger; above it is a slip (and infinity is no number).
_LARGEST = 1e9
Positive = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one detector's readings are judged. The defaults serve every data set we know."""

    # --- CO
    #: the standard whose windows hold, see ``edge.alarms.co``
    co_profile: Literal["en50291", "ul2034"] = "en50291"
    #: the last CO value is held this long; then the dose stands still [D: 1.5 × 10 min sampling]
    co_hold_s: Positive = 900.0
    #: a CO alarm clears after this long below the profile's clearing level [D]
    co_clear_s: Positive = 300.0
    #: a first value of this and more is an alarm and a suspected fault at once [D]
    co_doubt_ppm: Positive = 100.0
    #: Coburn–Forster–Kane: B = 1/DL + PL/VA of the assumed person; heavy work [M], the cautious side
    cohb_b: Positive = 0.04043
    #: %COHb of that person at the start [S: the vectors' second column]
    cohb_start_pct: NotNegative = 0.75
    #: notices of the WHO means (15 min, 1 h, 8 h, 24 h)
    co_exposure: bool = True

    # --- smoke
    #: smoke above clean air that is confirmed into an alarm; EN 14604 tests 0.05–0.2 dB/m [S/M]
    smoke_db_m: Positive = 0.15
    #: the same while CO or temperature rise too [D]
    smoke_supported_db_m: Positive = 0.10
    #: so dense, and with heat rising, smoke is confirmed this soon however slow the sampling [D]
    smoke_sure_db_m: Positive = 1.0
    smoke_sure_confirm_s: Positive = 10.0
    #: shortest and longest confirmation at ``smoke_db_m``; in between 1.25 sampling intervals [D]
    smoke_confirm_min_s: Positive = 4.0
    smoke_confirm_max_s: Positive = 75.0
    #: clears below this share of the threshold for this long [D]
    smoke_clear_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    smoke_clear_s: Positive = 60.0
    #: clean air may read this much before "needs cleaning"; compensation stops here [D]
    smoke_drift_max_db_m: Positive = 0.20
    #: drift is followed upwards no faster than this, so that no slow fire hides in it [D]
    smoke_drift_db_m_per_day: NotNegative = 0.02
    #: at and above this the channel is at its end of scale [D: laboratory photometers end at 50]
    smoke_saturated_db_m: Positive = 45.0
    #: while somebody has muted it, fresh smoke needs this much: 4 %/ft, the top of UL 217 [M]
    smoke_muted_db_m: Positive = 0.58
    #: smoke that looks like cooking (steam with it, no heat, no CO) waits at most this long [D]
    cooking_wait_s: Positive = 200.0
    #: and no more than this is cooking: 4 %/ft [M]
    cooking_max_db_m: Positive = 0.58

    # --- heat: EN 54-5 classes, see ``edge.alarms.heat``
    heat_class: Literal["A1", "A2", "B"] = "A1"
    heat_static_c: Positive | None = None
    heat_rising_c: Positive | None = None
    #: from this rise on the lower temperature counts [S: a real A1 detector, 4 °C/min]
    heat_rise_c_per_min: Positive = 4.0

    # --- trouble and supervision
    #: raise ``lost`` after this silence of the whole device
    deadline_s: Positive = DEFAULT_DEADLINE_S
    #: raise ``never_seen`` when nothing came this long after registration
    never_seen_after_s: Positive = DEFAULT_DEADLINE_S
    #: its network says the device is gone: ``lost`` after this grace [D]
    offline_grace_s: NotNegative = 60.0
    #: a channel that was heard before and is silent this long on a chatty device is a fault [D]
    channel_silent_s: Positive = 2 * 3600.0
    #: a channel that repeats one unlikely value this long is stuck [D]
    stuck_s: Positive = 24 * 3600.0
    battery_low_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] = 15.0
    battery_low_v: NotNegative | None = None
    #: warn this many days ahead [M: at least 7]
    battery_warn_days: NotNegative = 7.0
    #: a test ends by itself after this; a flag that stays is a fault [D]
    test_max_s: Positive = 600.0
    #: the detector's own alarm that outlives its test by this is real [D]
    test_grace_s: NotNegative = 30.0
    #: a mute is believed this long: UL 217 ends it after 15 min [M]
    mute_max_s: Positive = 900.0
    #: when the sensor's life ends, µs UTC; None: only the detector's own word counts
    expires_us: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @classmethod
    def from_mapping(cls, *layers: Mapping[str, Any]) -> Settings:
        """Settings from ``alarms`` tables; later layers win (model, then site, then detector).

        Raises ``ValueError`` that names the wrong key or value and says what was expected.
        """
        merged: dict[str, Any] = {}
        for layer in layers:
            merged.update(layer)
        unknown = sorted(set(merged) - set(cls.__struct_fields__))
        if unknown:
            known = ", ".join(cls.__struct_fields__)
            raise ValueError(f"unknown alarm setting {unknown[0]!r}; expected one of {known}")
        try:
            settings = msgspec.convert(merged, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"alarm settings: {_plain(str(error))}") from None
        levels = (settings.smoke_supported_db_m, settings.smoke_db_m, settings.smoke_sure_db_m)
        if sorted(levels) != list(levels):
            raise ValueError(
                "alarm settings: expected smoke_supported_db_m <= smoke_db_m <= smoke_sure_db_m, "
                f"got {levels[0]:g}, {levels[1]:g}, {levels[2]:g}"
            )
        return settings

    def differing(self) -> dict[str, Any]:
        """The settings that are not the defaults; ``from_mapping`` of it gives this back."""
        return {
            name: value
            for name, default in zip(self.__struct_fields__, self.__struct_defaults__, strict=True)
            if (value := getattr(self, name)) != default
        }


def deadline_from_interval_s(report_interval_s: float) -> float:
    """The deadline of a device that says how often it reports by itself."""
    return max(SHORTEST_DEADLINE_S, _MISSED_REPORTS * report_interval_s)


def _plain(message: str) -> str:
    """msgspec's "Expected `float` > 0.0 - at `$.x`" as "x: expected a float > 0.0"."""
    what, _, where = message.partition(" - at ")
    name = where.strip("`").removeprefix("$.") or "settings"
    return f"{name}: {what[:1].lower()}{what[1:].replace('`', '')}"
