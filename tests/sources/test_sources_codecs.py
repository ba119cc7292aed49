"""LoRaWAN byte codecs: the vectors beside each, the makers' public ones, and arbitrary bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.sources.codecs
from edge.sources.codecs import CODECS
from edge.wire.errors import REASONS, WireError
from edge.wire.readings import Flag
from edge.wire.units import QUANTITY_NAMES

FOLDER = Path(edge.sources.codecs.__file__).parent


def vectors() -> list[Any]:
    return [
        pytest.param(name, vector, id=f"{name}: {vector['what']}")
        for name in CODECS
        for vector in json.loads((FOLDER / f"{name}.json").read_text())
    ]


@pytest.mark.parametrize(("name", "vector"), vectors())
def test_a_vector_beside_its_codec_holds(name: str, vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    if "error" in vector:
        with pytest.raises(WireError) as refusal:
            CODECS[name].decode(vector["port"], payload)
        assert refusal.value.reason == vector["error"]
        return
    said = CODECS[name].decode(vector["port"], payload)
    flags = {f.name.lower(): bool(said.flags & f) for f in Flag if f.name and said.flags_known & f}
    assert said.is_reading is vector.get("is_reading", True)
    assert said.values == vector.get("values", {})
    assert flags == vector.get("flags", {})
    for name in ("maker", "model", "firmware", "report_interval_s"):
        if name in vector:
            assert getattr(said, name) == vector[name]


def test_every_codec_has_vectors_of_readings_and_of_errors() -> None:
    for name in CODECS:
        listed = json.loads((FOLDER / f"{name}.json").read_text())
        assert any("values" in vector for vector in listed), name
        assert any("error" in vector for vector in listed), name


@given(st.sampled_from(sorted(CODECS)), st.integers(0, 255), st.binary(max_size=64))
def test_any_bytes_are_decoded_or_refused_with_a_known_reason(
    name: str, port: int, payload: bytes
) -> None:
    codec = CODECS[name]
    codec.fits(port, payload)
    try:
        said = codec.decode(port, payload)
    except WireError as refusal:
        assert refusal.reason in REASONS
        return
    assert said.flags & ~said.flags_known == 0
    assert set(said.values) <= set(QUANTITY_NAMES)


# The public vectors of the makers.


def public(shared_data: Path, device: str) -> list[dict[str, Any]]:
    path = shared_data / "device-payload-fixtures" / "lorawan_codec_vectors.json"
    return [v for v in json.loads(path.read_text()) if v["device"].endswith(device)]


@pytest.mark.parametrize(("model", "count"), [("RA02A", 4), ("RA02C", 7)])
def test_the_public_netvox_vectors_hold(shared_data: Path, model: str, count: int) -> None:
    listed = public(shared_data, model)
    assert len(listed) == count
    for vector in listed:
        expect = vector["expect"]
        said = CODECS["netvox_ra02"].decode(vector["fPort"], bytes.fromhex(vector["hex"]))
        assert said.model == expect["Device"] == model
        assert said.is_reading is ("Volt" in expect)
        if "SWver" in expect:
            assert said.firmware == (
                f"{expect['SWver']} ({expect['Datecode']}), hardware {expect['HWver']}"
            )
        for field, quantity in (
            ("Volt", "battery_v"),
            ("Temp", "temperature_c"),
            ("TempC", "temperature_c"),
        ):
            if field in expect:
                assert said.values[quantity] == expect[field]
        for field, flag in (
            ("FireAlarm", Flag.SMOKE_ALARM),
            ("COAlarm", Flag.CO_ALARM),
            ("HighTempAlarm", Flag.HEAT_ALARM),
        ):
            if field in expect:
                assert said.flags_known & flag
                assert bool(said.flags & flag) is (expect[field] == "Alarm")


def test_the_public_gs524n_vector_holds(shared_data: Path) -> None:
    (vector,) = public(shared_data, "GS524N")
    expect = vector["expect"]
    said = CODECS["milesight_gs524n"].decode(85, bytes.fromhex(vector["hex"]))
    assert said.values == {"battery_pct": expect["battery"], "temperature_c": expect["temperature"]}
    assert (said.model, said.firmware) == ("GS524N", str(expect["version"]))
    assert "testing" in expect["event"]
    assert said.flags == Flag.TEST


def tg563a_cases(shared_data: Path, kind: str) -> list[dict[str, Any]]:
    path = shared_data / "device-payload-fixtures" / "tg563a_examples.json"
    return [case for case in json.loads(path.read_text()) if case["type"] == kind]


def test_the_public_tg563a_uplinks_hold(shared_data: Path) -> None:
    cases = tg563a_cases(shared_data, "uplink")
    assert len(cases) == 4
    for case in cases:
        payload, port = bytes(case["input"]["bytes"]), case["input"]["fPort"]
        if "errors" in case["output"]:
            reason = {"invalid size": "inconsistent", "invalid fPort": "wrong_port"}
            with pytest.raises(WireError) as refusal:
                CODECS["tg563a"].decode(port, payload)
            assert [refusal.value.reason] == [reason[e] for e in case["output"]["errors"]]
            continue
        expect = case["output"]["data"]
        said = CODECS["tg563a"].decode(port, payload)
        assert said.values["temperature_c"] == expect["temperature"]
        assert said.values.get("battery_v") == expect.get("batteryLevel")
        assert said.report_interval_s == expect["configuration"]["transmissionPeriod"] * 3600
        status = expect["status"]
        assert bool(said.flags & Flag.SMOKE_ALARM) is bool(status["smokeAlarm"])
        assert bool(said.flags & Flag.BATTERY_LOW) is bool(status["batteryLow"])
        assert bool(said.flags & Flag.TAMPER) is not bool(status["mounted"])
