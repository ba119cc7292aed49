"""How many decisions one core makes per second (``utaa bench decide``)."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.alarms.decide import step
from edge.alarms.settings import Settings
from edge.alarms.state import State, encode_state, initial
from edge.wire.readings import Flag, Reading

#: Detectors in the mix; enough that their states do not all stay in the processor's first cache.
_DETECTORS = 1000
#: Readings prepared in advance, so that only decisions are measured.
_ROUNDS = 40
_STEP_US = 10_000_000
_START_US = 1_700_000_000_000_000
#: One detector in this many stands in a fire: smoke, CO and heat rise through every threshold.
_FIRE_EVERY = 50


def decide(seconds: float) -> dict[str, float]:
    """Decide for about ``seconds`` of processor time and report decisions per second of one core.

    1,000 detectors send CO, smoke, temperature, humidity, battery and flags every 10 s, all of them
    changing; one in fifty is in a growing fire. Beside the mix, a quiet detector is measured alone.
    """
    mixed = [[_reading(n, turn) for n in range(_DETECTORS)] for turn in range(_ROUNDS)]
    quiet = [[_reading(1, turn)] * 1000 for turn in range(_ROUNDS)]
    mixed_rate, states = _measure(mixed, seconds / 2)
    quiet_rate, _ = _measure(quiet, seconds / 2)
    sizes = [len(encode_state(state)) for state in states]
    return {
        "decisions_per_s": round(mixed_rate),
        "quiet_decisions_per_s": round(quiet_rate),
        "state_bytes_mean": round(sum(sizes) / len(sizes)),
        "state_bytes_max": max(sizes),
    }


def _measure(
    rounds: list[list[Reading]], seconds: float, clock: Callable[[], float] = time.process_time
) -> tuple[float, list[State]]:
    count, spent = 0, 0.0
    states: list[State] = []
    while spent < seconds:
        states = [initial(Settings(), _START_US) for _ in rounds[0]]
        for readings in rounds:
            began = clock()
            for n, reading in enumerate(readings):
                states[n] = step(states[n], reading, reading.time_us)[0]
            spent += clock() - began
            count += len(readings)
    return count / spent, states


def _reading(detector: int, turn: int) -> Reading:
    wobble = (detector * 7 + turn * 13) % 17
    fire = max(0, turn - 10) if detector % _FIRE_EVERY == 0 else 0
    return Reading(
        detector=f"d{detector}",
        time_us=_START_US + turn * _STEP_US,
        flags=int(Flag.SMOKE_ALARM) if fire > 20 else 0,
        flags_known=int(Flag.SMOKE_ALARM | Flag.TAMPER | Flag.BATTERY_LOW),
        co_ppm=0.3 * wobble + 15.0 * fire,
        optical_density_db_m=0.01 + 0.001 * wobble + 0.05 * fire,
        temperature_c=20.0 + 0.05 * wobble + 2.0 * fire,
        humidity_pct=35.0 + 0.1 * wobble,
        battery_pct=90.0,
    )
