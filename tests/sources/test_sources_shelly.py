"""Shelly smoke detectors: full and partial statuses, a clock that is uptime, and Gen1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.shelly import ShellySource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

MakeMessage = Callable[..., RawMessage]
ID = "shellyplussmoke-80646fd1aabb"


class Bench:
    """A source and a way to hand it messages of one device."""

    def __init__(self, message: MakeMessage) -> None:
        self.source = ShellySource("demo")
        self._message = message

    def __call__(self, leaf: str, payload: Any, *, device: str = ID, retained: bool = False) -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        return self.source.decode(self._message(f"{device}/{leaf}", raw, retained=retained))

    def notify(self, *, method: str = "NotifyStatus", device: str = ID, **params: Any) -> Decoded:
        named = {key.replace("_0", ":0"): value for key, value in params.items()}
        frame = {"src": device, "dst": f"{device}/events", "method": method, "params": named}
        return self("events/rpc", frame, device=device)


@pytest.fixture
def shelly(message: MakeMessage) -> Bench:
    return Bench(message)


@pytest.fixture(scope="module")
def literals(shared_data: Path) -> dict[str, str]:
    listed = json.loads((shared_data / "device-payload-fixtures" / "mqtt_payloads.json").read_text())
    return {literal["id"]: literal["payload"] for literal in listed}


def test_a_real_full_status_gives_its_values(
    shelly: Bench, literals: dict[str, str], received_us: int
) -> None:
    decoded = shelly("events/rpc", literals["shelly-plus-smoke-full"])
    (reading,) = decoded.readings
    assert (reading.flag(Flag.SMOKE_ALARM), reading.flag(Flag.MUTED)) == (False, False)
    assert reading.quantities() == {"battery_pct": 85, "battery_v": 2.94, "signal_dbm": -79}
    # ts is 2.46: seconds since power-on, the clock is not set yet
    assert (reading.time_us, decoded.repairs) == (received_us, ["time_unset"])
    fact = decoded.facts[0]
    assert (fact.maker, fact.model, fact.report_interval_s) == ("Shelly", "Plus Smoke", 86_400)


def test_a_real_gen1_status_gives_its_values(shelly: Bench, literals: dict[str, str]) -> None:
    (reading,) = shelly(
        "shellysmoke-5B8998/info", literals["shelly1-smoke-http-status"], device="shellies"
    ).readings
    assert reading.flag(Flag.SMOKE_ALARM) is False
    assert reading.quantities() == {
        "temperature_c": 25.0625, "battery_pct": 71, "battery_v": 2.74, "signal_dbm": -70
    }  # fmt: skip


def test_a_partial_status_is_laid_over_the_last_state(shelly: Bench, received_us: int) -> None:
    now_s = received_us / 1e6
    shelly.notify(method="NotifyFullStatus", ts=now_s, smoke_0={"alarm": False, "mute": False},
                  devicepower_0={"battery": {"V": 2.9, "percent": 80}})  # fmt: skip
    decoded = shelly.notify(ts=now_s, smoke_0={"id": 0, "alarm": True})
    (reading,) = decoded.readings
    assert reading.flag(Flag.SMOKE_ALARM) is True
    assert reading.flag(Flag.MUTED) is False
    assert reading.quantities() == {"battery_pct": 80, "battery_v": 2.9}
    assert (reading.time_us, decoded.repairs) == (received_us, [])


def test_a_full_status_forgets_what_was_before(shelly: Bench) -> None:
    shelly.notify(smoke_0={"alarm": True, "mute": True})
    (reading,) = shelly.notify(method="NotifyFullStatus", smoke_0={"alarm": False}).readings
    assert reading.flag(Flag.SMOKE_ALARM) is False
    assert reading.flag(Flag.MUTED) is None


def test_a_retained_alarm_is_not_laid_under_later_messages(shelly: Bench) -> None:
    old = shelly("status/smoke:0", {"id": 0, "alarm": True, "mute": False}, retained=True)
    assert old.readings[0].flag(Flag.SMOKE_ALARM) is True
    (reading,) = shelly("status/devicepower:0", {"id": 0, "battery": {"percent": 80}}).readings
    assert reading.flag(Flag.SMOKE_ALARM) is None
    assert reading.battery_pct == 80


def test_a_component_by_itself_is_read(shelly: Bench) -> None:
    (reading,) = shelly("status/smoke:0", {"id": 0, "alarm": True, "mute": True}).readings
    assert reading.flags == Flag.SMOKE_ALARM | Flag.MUTED


@pytest.mark.parametrize("ts", [1e30, "soon"])
def test_an_alarm_with_a_broken_clock_still_counts(shelly: Bench, ts: Any, received_us: int) -> None:
    decoded = shelly.notify(ts=ts, smoke_0={"id": 0, "alarm": True})
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    assert decoded.readings[0].time_us == received_us
    assert len(decoded.repairs) == 1
    with pytest.raises(WireError):
        shelly.notify(ts=ts, smoke_0={"id": 0, "alarm": False})


@pytest.mark.parametrize(("word", "online"), [("true", True), ("false", False)])
def test_online_is_a_fact(shelly: Bench, word: str, online: bool) -> None:
    assert shelly("online", word, retained=True).facts[0].online is online
    gen1 = shelly("shellysmoke-1/online", word, device="shellies")
    assert [(fact.address, fact.online) for fact in gen1.facts] == [("shellysmoke-1", online)]


def test_another_shelly_is_left_alone(shelly: Bench) -> None:
    plug = "shellyplusplugs-1"
    assert shelly.notify(device=plug, switch_0={"output": True}) == Decoded()
    assert shelly("online", "true", device=plug) == Decoded()
    assert shelly("status/devicepower:0", {"battery": {"percent": 5}}, device=plug) == Decoded()
    assert shelly("shellyht-1/sensor/temperature", "21", device="shellies") == Decoded()
    assert shelly("shellyht-1/info", {"tmp": {"tC": 21}}, device="shellies") == Decoded()


def test_a_detector_under_a_name_of_its_own_is_found_by_its_smoke_component(shelly: Bench) -> None:
    shelly.notify(device="kitchen", smoke_0={"alarm": False})
    (reading,) = shelly("status/devicepower:0", {"battery": {"percent": 80}}, device="kitchen").readings
    assert (reading.battery_pct, reading.flag(Flag.SMOKE_ALARM)) == (80, False)


def test_an_announcement_names_the_model(shelly: Bench) -> None:
    said = {"id": "shellysmoke-5B8998", "model": "SHSM-01", "fw_ver": "20230913-114008"}
    fact = shelly("announce", said, device="shellies").facts[0]
    assert (fact.address, fact.maker, fact.model) == ("shellysmoke-5B8998", "Shelly", "SHSM-01")
    assert fact.firmware == "20230913-114008"
    assert shelly("announce", {"id": "shellyht-1", "model": "SHHT-1"}, device="shellies") == Decoded()


@pytest.mark.parametrize(
    ("what", "payload", "quantities", "flags"),
    [
        ("smoke", "true", {}, Flag.SMOKE_ALARM),
        ("smoke", "false", {}, 0),
        ("temperature", "25.06", {"temperature_c": 25.06}, 0),
        ("battery", "71", {"battery_pct": 71}, 0),
    ],
)
def test_gen1_says_one_value_a_topic(
    shelly: Bench, what: str, payload: str, quantities: dict[str, float], flags: int
) -> None:
    (reading,) = shelly(f"shellysmoke-1/sensor/{what}", payload, device="shellies").readings
    assert (reading.quantities(), reading.flags) == (quantities, flags)


@pytest.mark.parametrize(
    ("leaf", "payload", "reason"),
    [
        ("events/rpc", "{", "truncated"),
        ("events/rpc", "", "empty"),
        ("events/rpc", '{"method":"NotifyStatus","params":{"smoke:0":{"alarm":"yes"}}}', "wrong_type"),
        ("status/smoke:0", "[]", "wrong_type"),
        ("online", "maybe", "wrong_type"),
        ("status/wifi", "{}", "unknown_topic"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    shelly: Bench, leaf: str, payload: str, reason: str
) -> None:
    with pytest.raises(WireError) as refusal:
        shelly(leaf, payload)
    assert refusal.value.reason == reason


def test_other_notifications_say_nothing(shelly: Bench) -> None:
    frame = {"src": ID, "method": "NotifyEvent", "params": {"ts": 1.0, "events": []}}
    assert shelly("events/rpc", frame) == Decoded()


def test_a_gen2_detector_can_be_silenced(shelly: Bench) -> None:
    order = shelly.source.order(ID, "silence", "c1")
    assert order is not None
    assert order.topic == f"{ID}/rpc"
    assert json.loads(order.payload)["method"] == "Smoke.Mute"
    assert shelly.source.order(ID, "self_test", "c2") is None
    assert shelly.source.order("shellysmoke-1", "silence", "c3") is None
