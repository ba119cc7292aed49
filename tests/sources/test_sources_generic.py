"""Any other device, described in TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.generic import UNITS, GenericSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

MakeMessage = Callable[..., RawMessage]

DESCRIBED = """
[[devices]]
topic = "home/{address}/gas"
maker = "Acme"
model = "G1"
report_interval_s = 60.0
time = { path = "at", format = "epoch_ms" }
fields = [
  { path = "gas.co", quantity = "co_ppm" },
  { path = "readings.0.t", quantity = "temperature_c", unit = "F" },
  { path = "obscuration", quantity = "optical_density_db_m", unit = "%/ft" },
  { path = "raw", quantity = "humidity_pct", scale = 0.1, offset = -5.0 },
  { path = "state", flag = "smoke_alarm", true = ["FIRE"], false = ["OK"] },
  { path = "lid", flag = "tamper" },
]
status = { topic = "home/{address}/online", online = "1", offline = "0" }

[[devices]]
topic = "plain/+/{address}"
fields = [{ flag = "co_alarm", true = ["GAS"] }]
"""


@pytest.fixture
def decode(message: MakeMessage) -> Callable[..., Decoded]:
    source = GenericSource("demo", **tomllib.loads(DESCRIBED))

    def run(payload: Any, topic: str = "home/kitchen/gas") -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        return source.decode(message(topic, raw))

    return run


def test_the_description_is_followed(decode: Callable[..., Decoded], received_us: int) -> None:
    decoded = decode(
        {"at": received_us // 1000 - 1000, "gas": {"co": "4.5"}, "readings": [{"t": 68}],
         "obscuration": 4, "raw": 450, "state": "OK", "lid": 1}
    )  # fmt: skip
    (reading,) = decoded.readings
    assert reading.quantities() == {
        "co_ppm": 4.5,
        "temperature_c": pytest.approx(20),
        "optical_density_db_m": pytest.approx(0.582, abs=0.001),
        "humidity_pct": pytest.approx(40),
    }
    assert (reading.flag(Flag.SMOKE_ALARM), reading.flag(Flag.TAMPER)) == (False, True)
    assert reading.time_us == received_us - 1_000_000
    fact = decoded.facts[0]
    assert (fact.address, fact.maker, fact.model, fact.report_interval_s) == (
        "kitchen",
        "Acme",
        "G1",
        60,
    )


def test_absent_fields_are_not_stated(decode: Callable[..., Decoded], received_us: int) -> None:
    (reading,) = decode({"gas": {"co": 1}, "readings": [], "state": None}).readings
    assert (reading.quantities(), reading.flags_known) == ({"co_ppm": 1}, 0)
    assert reading.time_us == received_us


def test_a_bare_word_is_a_payload(decode: Callable[..., Decoded]) -> None:
    gas = decode("GAS", "plain/floor1/kitchen")
    assert gas.readings[0].flag(Flag.CO_ALARM) is True
    assert gas.facts[0].address == "kitchen"
    assert decode("anything else", "plain/x/y").readings[0].flag(Flag.CO_ALARM) is False


def test_status_is_a_fact(decode: Callable[..., Decoded]) -> None:
    assert decode("1", "home/kitchen/online").facts[0].online is True
    assert decode("0", "home/kitchen/online").facts[0].online is False
    with pytest.raises(WireError, match="wrong_type"):
        decode("2", "home/kitchen/online")


def test_broken_parts_beside_fire_are_left_out(decode: Callable[..., Decoded]) -> None:
    said = {"state": "FIRE", "gas": {"co": "many"}, "obscuration": 200, "at": "noon", "lid": "ajar"}
    decoded = decode(said)
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    assert decoded.readings[0].quantities() == {}
    assert decoded.repairs == ["part_dropped", "part_dropped", "time_unset"]
    for key in said:
        with pytest.raises(WireError):
            decode({"state": "OK"} | ({key: said[key]} if key != "state" else {"state": "??"}))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "empty"),
        ("{", "truncated"),
        ("{}", "missing_field"),
        ('{"gas":3}', "missing_field"),
        ('{"gas":{"co":true}}', "wrong_type"),
        ('{"gas":{"co":"1e999"}}', "not_finite"),
        ('{"gas":{"co":-1e5}}', "out_of_range"),
        ('{"obscuration":100}', "out_of_range"),
        ('{"gas":{"co":1},"at":1e300}', "out_of_range"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    decode: Callable[..., Decoded], payload: str, reason: str
) -> None:
    with pytest.raises(WireError) as refusal:
        decode(payload)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [("F", 212, 100), ("K", 273.15, 0), ("mV", 3000, 3), ("1/m", 0.1, 1), ("vol%", 0.01, 100),
     ("fraction", 0.5, 50), ("%/ft", 0.5, 0.0714)],
)  # fmt: skip
def test_every_unit_converts(unit: str, value: float, expected: float) -> None:
    assert UNITS[unit](value) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        ({"topic": "a/{address}", "fields": []}, "no fields"),
        ({"topic": "a/b", "fields": [{"quantity": "co_ppm"}]}, "needs one level"),
        ({"topic": "a/x{address}", "fields": [{"quantity": "co_ppm"}]}, "needs one level"),
        ({"topic": "a/{address}", "fields": [{"path": "x"}]}, "quantity or a flag"),
        ({"topic": "a/{address}", "fields": [{"quantity": "co"}]}, "no quantity 'co'"),
        ({"topic": "a/{address}", "fields": [{"flag": "fire"}]}, "no flag 'fire'"),
        ({"topic": "a/{address}", "fields": [{"quantity": "co_ppm", "unit": "ppb"}]}, "no unit 'ppb'"),
        ({"topic": "a/{address}", "fields": [{"quantity": "co_ppm", "scael": 2}]}, "scael"),
        ({"topic": "a/{address}", "fields": [{"flag": "test"}], "report_interval_s": 0}, "above 0"),
        ({"fields": [{"quantity": "co_ppm"}]}, "topic"),
        ({"topic": "a/{address}", "fields": [{"quantity": "co_ppm"}],
          "time": {"path": "t", "format": "unix"}}, "unix"),
    ],
)  # fmt: skip
def test_a_wrong_description_says_what_and_where(device: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"generic device 1.*{complaint}|{complaint}"):
        GenericSource("demo", devices=[device])
