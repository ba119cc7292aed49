"""What the simulator says, read by the edge's own sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.base import RawMessage, Source
from edge.sources.native import NativeSource
from edge.sources.zigbee2mqtt import Zigbee2MqttSource
from edge.wire.errors import WireError
from edge.wire.identity import detector_id
from edge.wire.readings import Flag
from firmware_sim.formats import (
    AQARA_DENSITY_DB_M,
    Format,
    Native,
    Report,
    Zigbee2Mqtt,
    aqara_density,
    garbage,
)

NOW_US = 1_790_000_000_123_456
REPORT = Report(
    "ger-001-smoke",
    NOW_US,
    {"optical_density_db_m": 0.093, "co_ppm": 4.5, "temperature_c": 18.3, "battery_pct": 88.0},
    {"smoke_alarm": True, "co_alarm": False, "test": False, "tamper": True, "battery_low": False},
    {"maker": "Utaa", "model": "sim-smoke", "report_interval_s": 60.0},
)
PAIRS = [
    pytest.param(Native(), NativeSource("home"), id="native"),
    pytest.param(Zigbee2Mqtt(), Zigbee2MqttSource("home"), id="zigbee2mqtt"),
]


def raw(topic: str, payload: bytes, *, retained: bool = False) -> RawMessage:
    return RawMessage(topic=topic, payload=payload, retained=retained, received_us=NOW_US + 5)


@pytest.mark.parametrize(("speech", "source"), PAIRS)
def test_the_edge_reads_what_the_ledger_says_it_must(speech: Format, source: Source) -> None:
    phrased = speech.reading(REPORT)
    decoded = source.decode(raw(phrased.topic, phrased.payload))
    (reading,) = decoded.readings
    assert decoded.repairs == []
    assert reading.detector == detector_id("home", speech.source, "ger-001-smoke")
    assert reading.time_us == phrased.time_us
    assert reading.quantities() == phrased.values
    stated = {name: reading.flag(Flag[name.upper()]) for name in phrased.flags}
    assert stated == phrased.flags
    assert reading.flags_known == sum(Flag[name.upper()] for name in phrased.flags)


@given(
    st.integers(1_600_000_000_000_000, 1_790_000_000_000_000),
    st.floats(0, 50).map(lambda value: round(value, 3)),
    st.floats(0, 5000).map(lambda value: round(value, 1)),
)
@pytest.mark.parametrize(("speech", "source"), PAIRS)
def test_times_and_values_come_through_exactly(
    speech: Format, source: Source, time_us: int, density: float, co_ppm: float
) -> None:
    report = Report("a", time_us, {"optical_density_db_m": density, "co_ppm": co_ppm})
    phrased = speech.reading(report)
    (reading,) = source.decode(raw(phrased.topic, phrased.payload)).readings
    assert (reading.time_us, reading.quantities()) == (phrased.time_us, phrased.values)
    assert abs(phrased.time_us - time_us) < 1000


@pytest.mark.parametrize(("speech", "source"), PAIRS)
@pytest.mark.parametrize("online", [True, False])
def test_the_edge_understands_presence(speech: Format, source: Source, online: bool) -> None:
    said = speech.presence("ger-001-smoke", online=online)
    decoded = source.decode(raw(said.topic, said.payload, retained=True))
    assert [fact.online for fact in decoded.facts] == [online]
    assert decoded.readings == []


@pytest.mark.parametrize(("speech", "source"), PAIRS)
@pytest.mark.parametrize("number", range(7))
def test_no_garbage_is_taken_for_a_reading(speech: Format, source: Source, number: int) -> None:
    with pytest.raises(WireError):
        source.decode(raw(speech.reading_topic("ger-001-smoke"), garbage(number)))
    assert garbage(number) == garbage(number + 7)


def test_native_says_what_it_is() -> None:
    phrased = Native().reading(REPORT)
    (fact,) = NativeSource("home").decode(raw(phrased.topic, phrased.payload)).facts
    assert (fact.maker, fact.model, fact.report_interval_s) == ("Utaa", "sim-smoke", 60.0)


@pytest.mark.parametrize(
    ("density_db_m", "expected"),
    [(0.0, 0), (0.084, 0), (0.085, 1), (0.0999, 4), (0.1, 5), (0.125, 10), (40.0, 10)],
)
def test_smoke_density_has_eleven_steps(density_db_m: float, expected: int) -> None:
    assert aqara_density(density_db_m) == expected
    assert AQARA_DENSITY_DB_M[expected] <= density_db_m
