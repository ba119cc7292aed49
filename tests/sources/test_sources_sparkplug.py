"""Sparkplug B: births, aliases, sequence numbers, deaths, and asking to be born again."""

from __future__ import annotations

from typing import Any

import pytest

from edge.sources import sparkplug_pb
from edge.sources.base import Decoded, RawMessage
from edge.sources.sparkplug import MAX_DEVICES, MAX_METRICS, REBIRTH_INTERVAL_US, SparkplugSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

BOOLEAN, FLOAT, INT16, STRING = 11, 9, 2, 12
_FIELD = {BOOLEAN: "boolean_value", FLOAT: "float_value", INT16: "int_value", STRING: "string_value"}


def metric(
    name: str = "", datatype: int = 0, value: Any = None, *, alias: int | None = None, at_ms: int = 0,
    field: str = "",
) -> dict[str, Any]:  # fmt: skip
    said: dict[str, Any] = {}
    if name:
        said["name"] = name.encode()
    if datatype:
        said["datatype"] = datatype
    if alias is not None:
        said["alias"] = alias
    if at_ms:
        said["timestamp"] = at_ms
    if value is not None:
        said[field or _FIELD[datatype]] = value.encode() if isinstance(value, str) else value
    return said


def payload(seq: int | None, *metrics: dict[str, Any], at_ms: int = 0) -> bytes:
    message = sparkplug_pb.payload_class()()
    if seq is not None:
        message.seq = seq
    if at_ms:
        message.timestamp = at_ms
    for said in metrics:
        message.metrics.add(**said)
    return bytes(message.SerializeToString())


class Bench:
    """A source, and a clock of its own."""

    def __init__(self, received_us: int, **options: Any) -> None:
        self.source = SparkplugSource("demo", **options)
        self.now_us = received_us

    def __call__(self, kind: str, raw: bytes, place: str = "gw") -> Decoded:
        node, _, device = place.partition("/")
        topic = f"spBv1.0/homes/{kind}/{node}" + (f"/{device}" if device else "")
        return self.source.decode(RawMessage(topic, raw, False, self.now_us))

    def born(self) -> None:
        """The node with a device ``kitchen`` of three metrics, aliases 1 to 3."""
        assert self("NBIRTH", payload(0)).orders == []
        birth = payload(
            1,
            metric("Sensors/Smoke", BOOLEAN, False, alias=1),
            metric("Sensors/Temperature", FLOAT, 21.5, alias=2),
            metric("Sensors/CO ppm", INT16, 4, alias=3),
            metric("Properties/Hardware Make", STRING, "Acme"),
            metric("Properties/Hardware Model", STRING, "S1"),
        )
        decoded = self("DBIRTH", birth, "gw/kitchen")
        assert decoded.orders == []
        assert decoded.readings[0].temperature_c == 21.5


@pytest.fixture
def spark(received_us: int) -> Bench:
    return Bench(received_us)


def test_a_birth_names_maker_and_model_and_gives_the_first_values(spark: Bench) -> None:
    spark("NBIRTH", payload(0))
    decoded = spark(
        "DBIRTH",
        payload(1, metric("Smoke", BOOLEAN, True), metric("Properties/Hardware Make", STRING, "Acme")),
        "gw/kitchen",
    )
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    fact = decoded.facts[0]
    assert (fact.address, fact.online, fact.maker) == ("homes/gw/kitchen", True, "Acme")


def test_data_may_say_the_alias_only(spark: Bench) -> None:
    spark.born()
    decoded = spark("DDATA", payload(2, metric(datatype=BOOLEAN, value=True, alias=1)), "gw/kitchen")
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    assert (decoded.readings[0].temperature_c, decoded.orders) == (None, [])


def test_an_alias_keeps_the_type_of_its_birth(spark: Bench) -> None:
    spark.born()
    minus_three = metric(value=(1 << 16) - 3, alias=3, field="int_value")
    assert spark("DDATA", payload(2, minus_three), "gw/kitchen").readings[0].co_ppm == -3


def test_a_gap_in_the_sequence_asks_for_a_rebirth_and_keeps_the_alarm(spark: Bench) -> None:
    spark.born()
    decoded = spark("DDATA", payload(5, metric(datatype=BOOLEAN, value=True, alias=1)), "gw/kitchen")
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    (order,) = decoded.orders
    assert order.topic == "spBv1.0/homes/NCMD/gw"
    (asked,) = sparkplug_pb.parse(order.payload).metrics
    assert (asked.name, asked.boolean_value) == (b"Node Control/Rebirth", True)


def test_data_of_an_unborn_node_asks_once_a_minute(spark: Bench) -> None:
    data = payload(7, metric(alias=1, datatype=BOOLEAN, value=True))
    assert len(spark("DDATA", data, "gw/kitchen").orders) == 1
    assert spark("DDATA", data, "gw/kitchen").orders == []
    spark.now_us += REBIRTH_INTERVAL_US
    assert len(spark("DDATA", data, "gw/kitchen").orders) == 1


def test_an_unknown_alias_asks_for_a_rebirth(spark: Bench) -> None:
    spark.born()
    stray = payload(2, metric(alias=99, datatype=BOOLEAN, value=True))
    assert len(spark("DDATA", stray, "gw/kitchen").orders) == 1


def test_the_sequence_goes_from_255_to_0(spark: Bench) -> None:
    spark.born()
    for seq in [*range(2, 256), 0, 1]:
        assert spark("NDATA", payload(seq)).orders == []


def test_a_rebirth_starts_the_sequence_anew(spark: Bench) -> None:
    spark.born()
    spark("DDATA", payload(9), "gw/kitchen")
    spark.born()


def test_a_nodes_death_is_the_death_of_its_devices(spark: Bench) -> None:
    spark.born()
    decoded = spark("NDEATH", b"")
    assert [(fact.address, fact.online) for fact in decoded.facts] == [
        ("homes/gw", False),
        ("homes/gw/kitchen", False),
    ]
    late = payload(2, metric(alias=1, datatype=BOOLEAN, value=True))
    assert len(spark("DDATA", late, "gw/kitchen").orders) == 1


def test_the_death_of_an_earlier_life_changes_nothing(spark: Bench) -> None:
    life, earlier = metric("bdSeq", INT16, 8), metric("bdSeq", INT16, 7)
    spark("NBIRTH", payload(0, life))
    assert spark("NDEATH", payload(None, earlier)) == Decoded()
    assert spark("NDEATH", payload(None, life)).facts[0].online is False


def test_a_devices_death_is_its_own(spark: Bench) -> None:
    spark.born()
    decoded = spark("DDEATH", payload(2), "gw/kitchen")
    assert [(fact.address, fact.online) for fact in decoded.facts] == [("homes/gw/kitchen", False)]
    assert decoded.orders == []


def test_metrics_of_different_times_are_different_readings(spark: Bench) -> None:
    at_ms = spark.now_us // 1000
    decoded = spark(
        "NBIRTH",
        payload(
            0,
            metric("CO", FLOAT, 1.0, at_ms=at_ms - 2000),
            metric("CO", FLOAT, 2.0, at_ms=at_ms - 1000),
            metric("Humidity", FLOAT, 40.0),
            at_ms=at_ms,
        ),
    )
    assert [(r.time_us // 1000 - at_ms, r.co_ppm) for r in decoded.readings] == [
        (-2000, 1.0),
        (-1000, 2.0),
        (0, None),
    ]


def test_a_metrics_meaning_can_be_told(received_us: int) -> None:
    spark = Bench(received_us, metrics={"Gas/1": "co_ppm", "Gas/2": "co_alarm"})
    (reading,) = spark(
        "NBIRTH", payload(0, metric("Gas/1", FLOAT, 42.0), metric("Gas/2", BOOLEAN, True))
    ).readings
    assert (reading.co_ppm, reading.flag(Flag.CO_ALARM)) == (42, True)
    with pytest.raises(ValueError, match="no flag 'gas'"):
        SparkplugSource("demo", metrics={"Gas/1": "gas"})


def test_null_and_meaningless_metrics_say_nothing(spark: Bench) -> None:
    null = metric("Smoke", BOOLEAN) | {"is_null": True}
    assert spark("NBIRTH", payload(0, null, metric("Uptime", FLOAT, 5.0))).readings == []


@pytest.mark.parametrize(
    ("kind", "place", "raw", "reason"),
    [
        ("NBIRTH", "gw", b"", "empty"),
        ("NBIRTH", "gw", b"\x12\xff", "truncated"),
        ("NDATA", "gw", b'{"json":1}', "truncated"),
        ("NBIRTH", "gw", payload(0, metric("CO", FLOAT, float("nan"))), "not_finite"),
        ("NBIRTH", "gw/kitchen", payload(0), "unknown_topic"),
        ("DDATA", "gw", payload(0), "unknown_topic"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    spark: Bench, kind: str, place: str, raw: bytes, reason: str
) -> None:
    with pytest.raises(WireError) as refusal:
        spark(kind, raw, place)
    assert refusal.value.reason == reason


def test_what_a_node_may_announce_is_bounded(spark: Bench) -> None:
    many = [metric(f"m{n}", FLOAT, 1.0, alias=n) for n in range(MAX_METRICS + 1)]
    with pytest.raises(WireError, match="too_large"):
        spark("NBIRTH", payload(0, *many))
    spark("NBIRTH", payload(0))
    for number in range(MAX_DEVICES - 1):
        spark("DBIRTH", payload((number + 1) % 256), f"gw/d{number}")
    with pytest.raises(WireError, match="too_large"):
        spark("DBIRTH", payload(0), "gw/one-too-many")


def test_commands_say_nothing(spark: Bench) -> None:
    assert spark("NCMD", payload(None)) == Decoded()
