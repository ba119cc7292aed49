"""What sounds, when, in which rhythm, and who does not answer. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outputs import (
    MAX_SILENCE_S,
    Outputs,
    OutputSettings,
    Relay,
    Sirens,
    Verdict,
    build_targets,
    decode_state,
    next_weekly_us,
)
from edge.outputs.sirens import ANSWER_S, TEST_SOUND_S
from edge.sources import Source, build
from edge.sources.base import RawMessage
from edge.wire.clock import US_PER_S, us_from_datetime
from edge.wire.errors import WireError
from edge.wire.identity import detector_id
from edge.wire.messages import Alarm, DetectorSettings, DeviceFact

SITE = "site"


def outputs(settings: dict[str, Any], sources: list[Source] | None = None, **facts: Any) -> Outputs:
    """Targets of a site whose registered native detectors said these facts."""
    known = {
        detector_id(SITE, "native", name): DeviceFact(
            detector=detector_id(SITE, "native", name), source="native", address=name, **fact
        )
        for name, fact in facts.items()
    }
    listed = {
        ident: DetectorSettings(detector=ident, source="native", address=fact.address)
        for ident, fact in known.items()
    }
    return build_targets(
        SITE,
        OutputSettings.from_mapping(settings),
        sources or [build("native", SITE)],
        listed,
        known.get,
    )


def sirens(*names: str) -> Sirens:
    return Sirens(outputs({"sirens": list(names)}).targets)


def fire(ident: str, **rest: Any) -> Alarm:
    given_: dict[str, Any] = {
        "kind": "smoke", "detector": "d", "raised_us": 1, "revision": 1, "reason": "",
    }  # fmt: skip
    return Alarm(**(given_ | {"id": ident} | rest))


def states(orders: list[Any]) -> list[str]:
    return [json.loads(order.payload)["state"] for order in orders]


def at(seconds: float) -> int:
    return int(seconds * US_PER_S)


def test_sirens_sound_repeat_and_stop() -> None:
    two = sirens("hall", "yard")
    assert states(two.orders([], 0)) == ["off", "off"]  # nobody knows what they were told before
    assert two.orders([], 0) == []
    assert two.orders([fire("a", kind="low_battery"), fire("t", test=True)], 0) == []
    assert states(two.orders([fire("a")], 0)) == ["on", "on"]
    assert two.orders([fire("a")], at(59)) == []
    assert states(two.orders([fire("a")], at(60))) == ["on", "on"]
    assert states(two.orders([fire("a"), fire("b")], at(61))) == ["on", "on"]
    assert two.orders([fire("b")], at(62)) == []  # one of two is over: they go on
    assert states(two.orders([], at(63))) == ["off", "off"]
    two.verdicts()
    assert two.wake_us is None or two.orders([], two.wake_us) == []


def test_fire_sounds_in_three_and_co_alone_in_four() -> None:
    one = sirens("hall")
    patterns = [
        json.loads(order.payload)["pattern"]
        for active in (
            [fire("a", kind="co")],
            [fire("a", kind="co"), fire("b")],
            [fire("a", kind="co")],
        )
        for order in one.orders(active, 0)
    ]
    assert patterns == ["T4", "T3", "T4"]


def test_a_silenced_alarm_stays_silent_and_the_next_one_sounds() -> None:
    one = sirens("hall")
    one.orders([fire("a")], 0)
    one.silence(["a"], 0)
    assert states(one.orders([fire("a")], 1)) == ["off"]
    assert one.orders([fire("a")], at(99)) == []
    assert states(one.orders([fire("a"), fire("b")], at(100))) == ["on"]


@given(asked_s=st.floats(1, 1e6))
def test_silence_ends_by_itself_after_ten_minutes_at_the_latest(asked_s: float) -> None:
    one = sirens("hall")
    one.orders([fire("a")], 0)
    one.silence(["a"], 0, asked_s)
    assert states(one.orders([fire("a")], 1)) == ["off"]
    end_us = at(min(asked_s, MAX_SILENCE_S))
    assert one.orders([fire("a")], end_us - 1) == []
    assert states(one.orders([fire("a")], end_us)) == ["on"]


def test_a_siren_taken_off_the_list_during_an_alarm_is_told_to_stop() -> None:
    two = sirens("hall", "yard")
    two.orders([fire("a")], 0)
    two.configure(outputs({"sirens": ["yard", "gate"]}).targets)
    told = {order.topic.split("/")[-2]: states([order])[0] for order in two.orders([fire("a")], 1)}
    assert told == {"gate": "on", "hall": "off"}


def test_a_siren_that_does_not_answer_is_broken_and_one_that_answers_again_is_not() -> None:
    one = sirens("hall")
    hall = detector_id(SITE, "siren", "hall")
    one.orders([], 0)
    one.orders([fire("a")], 0)
    one.orders([fire("a")], at(ANSWER_S) - 1)
    assert one.verdicts() == []
    assert one.wake_us == at(ANSWER_S)
    one.orders([fire("a")], at(ANSWER_S))
    assert one.verdicts() == [Verdict(hall, "no answer within 10 s")]
    one.answered(hall)
    assert one.verdicts() == []  # late, and to nothing that was asked
    one.orders([fire("a")], at(60))
    one.answered(hall)
    assert one.verdicts() == [Verdict(hall, None)]
    one.failed(hall, "it is gone")
    assert one.verdicts() == [Verdict(hall, "it is gone")]


def test_a_test_tries_every_output_and_reports_once() -> None:
    both = Sirens(
        outputs(
            {
                "sirens": ["hall"],
                "relays": [{"name": "bell", "topic": "bell/set"},
                           {"name": "valve", "topic": "valve/set", "tested": False}],
            },
        ).targets
    )  # fmt: skip
    both.orders([], 0)
    assert len(both.test(0)) == 2
    assert [(o.topic, o.payload[:30]) for o in both.orders([], 0)][1:] == [("bell/set", b"ON")]
    [end] = both.orders([], at(TEST_SOUND_S))
    assert (end.topic, end.payload) == ("bell/set", b"OFF")
    assert both.test_report() is None
    both.answered(detector_id(SITE, "siren", "hall"))
    assert both.test_report() == {detector_id(SITE, "siren", "hall"): True}
    assert both.test_report() is None


def test_a_test_never_touches_a_siren_that_sounds() -> None:
    one = sirens("hall")
    one.orders([fire("a")], 0)
    assert one.test(1) == []


def test_an_alarm_during_a_test_sounds_at_once() -> None:
    one = Sirens(outputs({"relays": [{"name": "bell", "topic": "bell/set"}]}).targets)
    one.orders([], 0)
    one.test(0)
    one.orders([], 0)
    [order] = one.orders([fire("a")], at(1))
    assert order.payload == b"ON"
    assert one.orders([fire("a")], at(TEST_SOUND_S)) == []  # the end of the test stops no alarm


def test_registered_detectors_with_a_sounder_sound_and_others_do_not() -> None:
    site = outputs({}, kitchen={"sounder": True}, attic={}, cellar={"sounder": False})
    orders = Sirens(site.targets).orders([fire("a", kind="co")], 0)
    [order] = orders
    assert order.topic == "utaa/v1/detector/kitchen/command"
    said = json.loads(order.payload)
    assert (said["action"], said["pattern"], said["hold_s"]) == ("sound", "T4", 300)


def test_sounders_may_be_named_one_by_one() -> None:
    kitchen = detector_id(SITE, "native", "kitchen")
    site = outputs({"sounders": [kitchen]}, kitchen={"sounder": True}, attic={"sounder": True})
    assert [target.detector for target in site.targets] == [kitchen]
    assert outputs({"sounders": []}, kitchen={"sounder": True}).targets == []


_SIREN = {
    "friendly_name": "hall siren", "type": "Router", "definition": {"model": "HS2WD-E", "exposes": [
        {"type": "composite", "name": "warning", "property": "warning", "access": 2, "features": [
        {"name": "mode", "property": "mode", "values": ["stop", "burglar", "fire", "emergency"]},
        {"name": "level", "property": "level", "values": ["low", "medium", "high"]}]}]},
}  # fmt: skip
_SMOKE = {
    "friendly_name": "kitchen", "type": "EndDevice", "definition": {"model": "TS0205", "exposes": [
                {"type": "binary", "name": "smoke", "property": "smoke", "access": 1},
                {"type": "binary", "name": "alarm", "property": "alarm", "access": 3,
                 "value_on": "ON", "value_off": "OFF"},
                {"type": "numeric", "property": "duration", "access": 3, "value_max": 180},
                {"type": "binary", "property": "silence", "access": 3, "value_on": True}]},
}  # fmt: skip
_LAMP = {
    "friendly_name": "lamp", "type": "Router", "definition": {
    "exposes": [{"type": "binary", "property": "alarm", "access": 1, "value_on": 1, "value_off": 0}]},
}  # fmt: skip


def zigbee() -> Source:
    source = build("zigbee2mqtt", SITE)
    payload = json.dumps([_SIREN, _SMOKE, _LAMP]).encode()
    decoded = source.decode(RawMessage("zigbee2mqtt/bridge/devices", payload, True, at(1.8e9)))
    facts = {fact.address: fact for fact in decoded.facts}
    assert {name: fact.role for name, fact in facts.items()} == {
        "hall siren": "siren", "kitchen": "detector",
    }  # fmt: skip
    assert facts["kitchen"].sounder
    assert facts["kitchen"].senses == ("smoke_alarm", "muted")
    return source


@pytest.mark.parametrize(
    ("address", "action", "said"),
    [
        ("hall siren", "sound_t3",
         {"warning": {"mode": "fire", "strobe": True, "duration": 300, "level": "high"}}),
        ("hall siren", "sound_t4",
         {"warning": {"mode": "emergency", "strobe": True, "duration": 300, "level": "high"}}),
        ("hall siren", "hush", {"warning": {"mode": "stop", "strobe": False}}),
        ("kitchen", "sound_t3", {"alarm": "ON", "duration": 180}),
        ("kitchen", "hush", {"alarm": "OFF"}),
        ("kitchen", "silence", {"silence": True}),
    ],
)  # fmt: skip
def test_zigbee_sirens_are_told_what_they_list(address: str, action: Any, said: dict[str, Any]) -> None:
    order = zigbee().order(address, action, "c")
    assert order is not None
    assert order.topic == f"zigbee2mqtt/{address}/set"
    assert json.loads(order.payload) == said


def test_a_zigbee_siren_answers_by_publishing_its_state() -> None:
    source = zigbee()
    assert source.order("lamp", "sound_t3", "c") is None
    ident = detector_id(SITE, "zigbee2mqtt", "hall siren")
    live = RawMessage("zigbee2mqtt/hall siren", b'{"linkquality":80}', False, at(1.8e9))
    assert source.decode(live).answers == [ident]
    assert source.decode(live).readings == []
    old = RawMessage("zigbee2mqtt/hall siren", b'{"linkquality":80}', True, at(1.8e9))
    assert source.decode(old).answers == []
    site = outputs({"sirens": ["zigbee2mqtt:hall siren"]}, [source])
    assert [target.detector for target in site.targets] == [ident]


def test_a_siren_of_a_source_nobody_listens_to_fails_its_test() -> None:
    one = Sirens(outputs({"sirens": ["zigbee2mqtt:hall"]}).targets)
    assert one.orders([fire("a")], 0) == []
    one.orders([], 1)
    assert one.test(2) == []
    assert [verdict.reason for verdict in one.verdicts()] == ["it cannot be told to sound"]


@pytest.mark.parametrize(
    ("payload", "state", "button"),
    [
        (b"offline", "offline", False),
        (b'{"state":"off","button":true}', "off", True),
        (b'{"on":false}', None, False),
    ],
)
def test_a_siren_says_its_state(payload: bytes, state: str | None, button: bool) -> None:
    said = decode_state(payload)
    assert (said.state, said.button) == (state, button)


@given(st.binary(max_size=200))
def test_any_bytes_of_a_siren_give_a_state_or_the_documented_error(payload: bytes) -> None:
    try:
        decode_state(payload)
    except WireError as error:
        assert error.reason in ("not_json", "wrong_type")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sirens": ["a/b"]}, "a/b"),
        ({"sirens": ["zigbee2mqtt:"]}, "zigbee2mqtt:"),
        ({"sirens": ["zigbee2mqtt:a+"]}, "a+"),
        ({"relays": [{"name": "r", "topic": "a/#"}]}, "a/#"),
        ({"relays": [{"name": "r", "topic": "a"}, {"name": "r", "topic": "b"}]}, "same name"),
        ({"relays": [{"name": "r"}]}, "topic"),
        ({"weekly_test": "someday"}, "someday"),
        ({"weekly_test": "wed 25:00+08:00"}, "no such time"),
        ({"bells": []}, "bells"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        OutputSettings.from_mapping(settings)


def test_the_weekly_test_is_at_its_local_hour() -> None:
    monday = us_from_datetime(datetime(2026, 1, 26, 0, 0, tzinfo=UTC))
    wednesday = us_from_datetime(datetime(2026, 1, 28, 4, 0, tzinfo=UTC))
    assert next_weekly_us("wed 12:00+08:00", monday) == wednesday
    assert next_weekly_us("wed 12:00+08:00", wednesday) == wednesday + at(7 * 86_400)
    assert next_weekly_us("mon 03:00+08:00", monday) == us_from_datetime(
        datetime(2026, 2, 1, 19, 0, tzinfo=UTC)
    )
    assert next_weekly_us("", monday) is None


@given(after_s=st.integers(1_500_000_000, 2_500_000_000))
def test_the_next_weekly_test_is_within_a_week(after_s: int) -> None:
    due_us = next_weekly_us("sun 23:59-11:30", at(after_s))
    assert due_us is not None
    assert 0 < due_us - at(after_s) <= at(7 * 86_400)


def test_a_relay_says_its_own_words() -> None:
    relay = Relay(name="lamp", topic="cmnd/lamp/POWER", on="1", off="0", state_topic="stat/lamp/POWER")
    site = build_targets(SITE, OutputSettings(relays=[relay]), [], {}, lambda _: None)
    lamp = Sirens(site.targets)
    assert [order.payload for order in lamp.orders([fire("a")], 0)] == [b"1"]
    assert [order.payload for order in lamp.orders([], 1)] == [b"0"]
    assert site.state_topics == {"stat/lamp/POWER": detector_id(SITE, "relay", "lamp")}
