"""Facts with patience: what turns when, what never turns, what others' messages mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.heard import hear
from edge.cameras.outcome import Probed, Registered
from edge.cameras.states import (
    FACTS,
    Change,
    Observation,
    Settings,
    State,
    from_probe,
    from_verdict,
    maintenance,
    step,
)
from edge.wire.errors import WireError

S = 1_000_000


def _run(
    *seen: tuple[float, dict[str, bool]], state: State | None = None
) -> tuple[State, list[Change]]:
    state = state or State()
    changes: list[Change] = []
    for at_s, facts in seen:
        state, more = step(state, Observation(int(at_s * S), facts, "test"), Settings())  # type: ignore[arg-type]
        changes += more
    return state, changes


def test_a_camera_that_is_lost_is_told_within_forty_seconds_of_probes_and_clears_by_itself() -> None:
    # probed each 24 s; a probe of a dead camera takes 6 s, and 1.5 s later comes the next
    state, changes = _run(
        (0, {"reachable": True}), (30, {"reachable": False}), (37.5, {"reachable": False}),
        (57, {"reachable": True}),
    )  # fmt: skip
    assert [(c.kind, c.transition, c.at_us / S) for c in changes] == [
        ("camera_offline", "raise", 37.5), ("camera_offline", "clear", 57),
    ]  # fmt: skip
    assert state.summary == "ok"


def test_where_a_reboot_is_not_even_to_open_an_incident_the_loss_is_held_longer() -> None:
    state, changes = State(), []
    for at_s in (0.0, *(30 + n * 7.5 for n in range(13))):  # 90 s away
        seen = Observation(int(at_s * S), {"reachable": at_s == 0}, "refused")
        state, more = step(state, seen, Settings(offline_hold_s=120))
        changes += more
    assert changes == []


def test_one_bad_probe_is_no_alarm_however_long_it_lasted() -> None:
    assert (
        _run((0, {"reachable": True}), (5000, {"reachable": False}), (5030, {"reachable": True}))[1]
        == []
    )


def test_many_bad_looks_in_a_moment_are_no_alarm() -> None:
    assert _run(*((n / 10, {"in_place": False}) for n in range(50)))[1] == []


def test_a_picture_fault_needs_two_good_looks_to_clear() -> None:
    bad = [(n * 15.0, {"in_place": False}) for n in range(5)]
    state, changes = _run((0, {"reachable": True}), *bad, (90, {"in_place": True}))
    assert [c.transition for c in changes] == ["raise"]
    assert state.summary == "faulty" and state.in_doubt
    assert [c.transition for c in _run((105, {"in_place": True}), state=state)[1]] == ["clear"]


def test_facts_are_separate_and_one_does_not_hide_the_other() -> None:
    bad = [(n * 20.0, {"in_focus": False, "reachable": True}) for n in range(6)]
    state, changes = _run(*bad)
    assert [c.fact for c in changes] == ["in_focus"]
    assert state.summary == "degraded"
    assert state.facts["reachable"].good is True


def test_maintenance_is_quiet_and_afterwards_all_is_asked_anew() -> None:
    state = maintenance(State(), True)
    state, changes = _run(*((n * 30.0, {"reachable": False}) for n in range(6)), state=state)
    assert (changes, state.summary) == ([], "maintenance")
    assert maintenance(state, False).summary == "unknown"


def test_an_older_observation_changes_nothing() -> None:
    state, _ = _run((100, {"reachable": True}))
    assert _run((50, {"reachable": False}), state=state) == (state, [])


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(FACTS), st.booleans()), max_size=60))
def test_raises_and_clears_of_a_fact_alternate_for_any_history(
    history: list[tuple[int, str, bool]],
) -> None:
    at, seen = 0.0, []
    for gap, fact, good in history:
        at += gap
        seen.append((at, {fact: good}))
    _, changes = _run(*seen)
    for fact in FACTS:
        turns = [c.transition for c in changes if c.fact == fact]
        assert turns == [("raise", "clear")[n % 2] for n in range(len(turns))]


@pytest.mark.parametrize(
    ("outcome", "facts"),
    [("reachable", {"reachable": True, "advancing": True, "as_registered": True}),
     ("hung", {"reachable": False}),
     ("stalled", {"reachable": True, "advancing": False}),
     ("no_packets", {"reachable": True, "advancing": False}),
     ("refused", {"reachable": False}), ("wrong_password", {"reachable": False}),
     ("timeout", {"reachable": False}), ("hung", {"reachable": False})],
)  # fmt: skip
def test_a_probe_says_only_what_it_saw(outcome: str, facts: dict[str, bool]) -> None:
    seen = from_probe(Probed(outcome=outcome, url=""), Registered(), 1)  # type: ignore[arg-type]
    assert seen.facts == facts


def test_another_stream_than_registered_and_a_repeated_one_are_told() -> None:
    found = Probed(outcome="reachable", url="", codec="h264", width=640, height=360)
    other = from_probe(found, Registered(width=1280, height=720), 1)
    assert (other.facts["as_registered"], other.reason) == (False, "not as registered: resolution")
    assert from_probe(found, Registered(), 1, repeated=True).facts["changing"] is False


def test_a_bad_picture_says_nothing_about_what_cannot_be_seen_on_it() -> None:
    assert from_verdict("dark", 0.9, {}, 1).facts == {"well_exposed": False}
    assert from_verdict("ok", 0.9, {}, 1).facts == {
        "well_exposed": True,
        "in_focus": True,
        "in_place": True,
    }
    assert from_verdict("unknown", 0.0, {}, 1).facts == {}
    assert from_verdict("frozen", 0.9, {}, 1, film=True).facts == {"changing": False}


def test_frigates_rate_says_that_pictures_advance_and_never_that_they_change() -> None:
    stats = {
        "cameras": {"yard": {"camera_fps": 5.1, "pid": 3}, "gate": {"camera_fps": 0.0}},
        "service": {},
    }
    heard = hear("frigate/stats", json.dumps(stats).encode(), 7)
    assert heard["frigate/yard"].facts == {"advancing": True, "reachable": True}
    assert heard["frigate/gate"].facts == {"advancing": False}
    assert all("changing" not in seen.facts for seen in heard.values())


@pytest.mark.parametrize(
    ("topic", "payload", "facts"),
    [("frigate/yard/status/detect", b"offline", {"frigate/yard": {"reachable": False}}),
     ("frigate/yard/status/record", b"online", {"frigate/yard": {"reachable": True}}),
     ("frigate/yard/status/detect", b"disabled", {}), ("frigate/available", b"online", {}),
     ("utaa/v1/camera/yard/state", b'{"in_focus": false, "reason": "dust"}',
     {"yard": {"in_focus": False}})],
)  # fmt: skip
def test_heard_messages_become_the_same_facts(
    topic: str, payload: bytes, facts: dict[str, dict[str, bool]]
) -> None:
    assert {k: dict(v.facts) for k, v in hear(topic, payload, 1).items()} == facts


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [("frigate/stats", b"{", "not_json"), ("frigate/stats", b"[]", "wrong_type"),
     ("frigate/stats", b'{"cameras": {"a": {"camera_fps": "x"}}}', "wrong_type"),
     ("frigate/a/status/detect", b"\xff", "wrong_type"), ("elsewhere", b"", "unknown_topic"),
     ("utaa/v1/camera/a/state", b'{"in_place": 1}', "wrong_type"),
     ("utaa/v1/camera/a/state", b" " * (1 << 20), "too_large")],
)  # fmt: skip
def test_bad_messages_have_a_reason(topic: str, payload: bytes, reason: str) -> None:
    with pytest.raises(WireError) as error:
        hear(topic, payload, 1)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("topic", "said", "facts"),
    [("axis/ACCC8E000001/event/tns:onvif/VideoSource/GlobalSceneChange/ImagingService/$source/0",
      {"topic": "onvif:VideoSource/GlobalSceneChange/ImagingService",
       "message": {"source": {"Source": "0"}, "data": {"State": "1"}}}, {"in_place": False}),
     ("axis/ACCC8E000001/event/tns:axis/VideoSource/Tampering",
      {"topic": "axis:VideoSource/Tampering", "message": {"data": {"tampering": "0"}}},
      {"in_place": True}),
     ("onvif-ej/cam9/VideoSource/ImageTooBlurry/AnalyticsService",
      {"UtcTime": "2031-01-01T00:00:00Z", "Source": {}, "Data": {"State": True}}, {"in_focus": False}),
     ("onvif-ej/cam9/VideoSource/ImageTooDark/ImagingService", {"Data": {"State": "true"}},
      {"well_exposed": False}),
     ("onvif-ej/cam9/Device/Trigger/Relay", {"Data": {"LogicalState": "active"}}, None)],
)  # fmt: skip
def test_axis_and_onvif_events_about_the_picture_become_facts(
    topic: str, said: dict[str, object], facts: dict[str, bool] | None
) -> None:
    heard = hear(topic, json.dumps(said).encode(), 1)
    assert [dict(seen.facts) for seen in heard.values()] == ([] if facts is None else [facts])
    assert set(heard) <= {"axis/ACCC8E000001", "onvif-ej/cam9"}


def test_a_short_probe_does_not_say_that_a_rate_is_as_registered() -> None:
    short = Probed(outcome="reachable", url="", codec="h264")
    assert "as_registered" not in from_probe(short, Registered(rate_fps=25), 1).facts
    wrong = Probed(outcome="reachable", url="", rate_fps=12.0)
    assert from_probe(wrong, Registered(rate_fps=25), 1).facts["as_registered"] is False


def test_another_device_at_the_address_damage_and_bad_clocks_are_not_as_registered() -> None:
    found = Probed(outcome="reachable", url="", packets=100, missing=9, time_back=3, banner="b")
    seen = from_probe(found, Registered(banner="a"), 1, findings=("its clock is +3600 s off",))
    assert seen.facts["as_registered"] is False
    assert seen.reason == "not as registered: damaged, timestamps, identity"
    assert (
        from_probe(Probed(outcome="reachable", url=""), Registered(), 1, findings=("x",)).reason == "x"
    )
