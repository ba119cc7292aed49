"""Bits that say why an alarm is on and what is wrong with a channel, and their words for people.

Plain integers, because ``IntFlag`` costs a microsecond per operation on the fast path. Positions are
stored in the spool: append, never reorder.
"""

from __future__ import annotations

# --- why alarms are on, besides the detector's own flags (``State.causes``)
SMOKE_LEVEL = 1 << 0
CO_DOSE = 1 << 1
HEAT_LEVEL = 1 << 2
CO_EXPOSURE = 1 << 3
NEEDS_CLEANING = 1 << 4
BATTERY_LEVEL = 1 << 5
EXPIRED = 1 << 6
SILENT = 1 << 7
NETWORK_SAYS_GONE = 1 << 8

# --- what is wrong with the device (``State.faults``)
CO_STARTS_HIGH = 1 << 0
CO_OUT_OF_RANGE = 1 << 1
CO_STUCK = 1 << 2
CO_NOISY = 1 << 3
CO_SILENT = 1 << 4
SMOKE_OFFSET = 1 << 5
SMOKE_SATURATED = 1 << 6
SMOKE_OUT_OF_RANGE = 1 << 7
SMOKE_STUCK = 1 << 8
SMOKE_NOISY = 1 << 9
SMOKE_SILENT = 1 << 10
TEMPERATURE_OUT_OF_RANGE = 1 << 11
TEMPERATURE_SILENT = 1 << 12
CO2_DOUBTFUL = 1 << 13
O2_DOUBTFUL = 1 << 14
TEST_STUCK = 1 << 15
#: Not a cause of ours: the detector's own fault flag, among the faults already told.
OWN_FAULT = 1 << 20

#: What makes a CO value doubtful, yet never suppresses it.
CO_FAULTS = CO_STARTS_HIGH | CO_OUT_OF_RANGE | CO_STUCK | CO_NOISY

CHANNEL_SILENT = CO_SILENT | SMOKE_SILENT | TEMPERATURE_SILENT

FAULT_WORDS: dict[int, str] = {
    CO_STARTS_HIGH: "the CO channel read dangerously high from its first value on",
    CO_OUT_OF_RANGE: "the CO channel reads what no such sensor can measure",
    CO_STUCK: "the CO channel repeats one and the same value",
    CO_NOISY: "the CO channel jumps up and down",
    CO_SILENT: "the CO channel is silent while the device talks",
    SMOKE_OFFSET: "the smoke channel read high from its first value on",
    SMOKE_SATURATED: "the smoke channel stands at the end of its scale",
    SMOKE_OUT_OF_RANGE: "the smoke channel reads far below clean air",
    SMOKE_STUCK: "the smoke channel repeats one and the same value",
    SMOKE_NOISY: "the smoke channel jumps up and down",
    SMOKE_SILENT: "the smoke channel is silent while the device talks",
    TEMPERATURE_OUT_OF_RANGE: "the temperature channel reads what no room can be",
    TEMPERATURE_SILENT: "the temperature channel is silent while the device talks",
    CO2_DOUBTFUL: "the CO2 channel reads what no room can be",
    O2_DOUBTFUL: "the O2 channel reads what no room can be",
    TEST_STUCK: "the test flag stays on longer than any test",
}


def fault_reason(faults: int, own_word: bool) -> str:
    """A sentence naming everything that is wrong."""
    words = [text for bit, text in FAULT_WORDS.items() if faults & bit]
    if own_word:
        words.insert(0, "the detector reports a fault of its own")
    return "; ".join(words)
