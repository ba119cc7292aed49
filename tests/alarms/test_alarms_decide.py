"""The decision as a whole: own word, tests, troubles, supervision, and any order of events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.alarms import (
    MAX_STATE_BYTES,
    Change,
    Input,
    Presence,
    Settings,
    State,
    Tick,
    deadline_from_interval_s,
    decode_state,
    encode_state,
    initial,
    resumed,
    step,
)  # fmt: skip
from edge.alarms.bench import decide as bench_decide
from edge.alarms.co import dose_at
from edge.alarms.replay import replay
from edge.wire.messages import CLASS_OF
from edge.wire.readings import Flag, Reading

START_US = 1_700_000_000_000_000
S = 1_000_000
DAY_S = 86_400.0


def at(seconds: float) -> int:
    return START_US + round(seconds * S)


def reading(seconds: float, on: int = 0, known: int | None = None, **values: float) -> Reading:
    return Reading(
        detector="d",
        time_us=at(seconds),
        flags=on,
        flags_known=on if known is None else known,
        **values,
    )


class Detector:
    """One detector fed by hand; keeps every change."""

    def __init__(self, **chosen: Any) -> None:
        self.state: State = initial(Settings.from_mapping(chosen), START_US)
        self.wake_us: int | None = None
        self.changes: list[Change] = []

    def feed(self, event: Input, seconds: float) -> list[tuple[str, str]]:
        self.state, changes, self.wake_us = step(self.state, event, at(seconds))
        self.changes += changes
        return [(c.kind, c.transition) for c in changes]

    def hear(
        self, seconds: float, on: int = 0, known: int | None = None, **values: float
    ) -> list[tuple[str, str]]:
        return self.feed(reading(seconds, on, known, **values), seconds)

    def wait(self, seconds: float) -> list[tuple[str, str]]:
        """Ticks whenever one was asked for, up to then."""
        turns = []
        if self.wake_us is None:
            turns += self.feed(Tick(), (self.state.now_us - START_US) / S)
        while self.wake_us is not None and self.wake_us <= at(seconds):
            turns += self.feed(Tick(), (self.wake_us - START_US) / S)
        return turns

    @property
    def active(self) -> set[str]:
        return set(self.state.active)


# --- the detector's own word


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        (Flag.SMOKE_ALARM, "smoke"), (Flag.CO_ALARM, "co"), (Flag.HEAT_ALARM, "heat"),
        (Flag.TAMPER, "tamper"), (Flag.BATTERY_LOW, "low_battery"), (Flag.FAULT, "fault"),
        (Flag.END_OF_LIFE, "end_of_life"),
    ],
)  # fmt: skip
def test_a_detectors_own_flag_raises_at_once_whatever_the_numbers(flag: Flag, kind: str) -> None:
    detector = Detector()
    clean = {"co_ppm": 0.0, "optical_density_db_m": 0.0, "temperature_c": 20.0}
    assert detector.hear(0, 0, int(flag), **clean) == []
    assert detector.hear(10, int(flag), **clean) == [(kind, "raise")]
    assert detector.hear(20, **clean) == []
    assert detector.hear(30, 0, int(flag), **clean) == [(kind, "clear")]
    assert detector.hear(40, int(flag), **clean) == [(kind, "raise")]


def test_a_flag_the_device_does_not_state_says_nothing() -> None:
    detector = Detector()
    detector.hear(0, int(Flag.SMOKE_ALARM))
    assert detector.hear(10, 0, int(Flag.TAMPER)) == []
    assert detector.active == {"smoke"}


def test_numbers_keep_an_alarm_that_the_own_flag_gives_up() -> None:
    detector = Detector()
    for n in range(20):
        detector.hear(
            n * 2, int(Flag.SMOKE_ALARM) if n > 10 else 0, optical_density_db_m=0.0 if n < 8 else 0.5
        )
    assert detector.hear(40, 0, int(Flag.SMOKE_ALARM), optical_density_db_m=0.5) == []
    assert detector.active == {"smoke"}


def test_an_alarm_survives_the_loss_of_its_detector() -> None:
    detector = Detector(deadline_s=600.0)
    detector.hear(0, int(Flag.SMOKE_ALARM))
    assert detector.wait(700) == [("lost", "raise")]
    assert detector.active == {"smoke", "lost"}


# --- tests and mutes


def test_a_test_is_a_test_and_its_alarm_too() -> None:
    detector = Detector()
    assert detector.hear(0, int(Flag.TEST | Flag.SMOKE_ALARM)) == [
        ("smoke", "raise"),
        ("test", "raise"),
    ]
    assert all(change.test for change in detector.changes)
    detector.hear(5, 0, int(Flag.TEST | Flag.SMOKE_ALARM))
    assert detector.active == set()
    assert all(change.test for change in detector.changes)


def test_an_alarm_that_outlives_its_test_by_the_grace_is_raised_anew_as_real() -> None:
    detector = Detector()
    detector.hear(0, int(Flag.TEST | Flag.SMOKE_ALARM))
    assert detector.hear(5, 0, int(Flag.TEST)) == [("test", "clear")]
    assert detector.wait(34.9) == []
    assert detector.wait(60) == [("smoke", "clear"), ("smoke", "raise")]
    assert [c.test for c in detector.changes[-2:]] == [True, False]


def test_real_smoke_during_a_test_is_real() -> None:
    detector = Detector()
    for n in range(10):
        detector.hear(n * 2, optical_density_db_m=0.01)
    detector.hear(20, int(Flag.TEST | Flag.SMOKE_ALARM), optical_density_db_m=0.01)
    for n in range(11, 20):
        detector.hear(n * 2, optical_density_db_m=0.6)
    real = [c for c in detector.changes if c.kind == "smoke" and not c.test]
    assert [c.transition for c in real] == ["raise"]


def test_a_test_that_never_ends_becomes_a_fault_and_alarms_count_again() -> None:
    detector = Detector()
    detector.hear(0, int(Flag.TEST))
    assert detector.wait(601) == [("test", "clear"), ("fault", "raise")]
    detector.hear(700, int(Flag.SMOKE_ALARM))
    assert not detector.changes[-1].test


def test_a_test_alarm_in_a_test_that_never_ends_turns_real() -> None:
    detector = Detector()
    detector.hear(0, int(Flag.TEST | Flag.SMOKE_ALARM))
    detector.wait(601)
    real = [c for c in detector.changes if c.kind == "smoke" and not c.test]
    assert [c.transition for c in real] == ["raise"]


def test_a_mute_does_not_clear_an_alarm() -> None:
    detector = Detector()
    detector.hear(0, int(Flag.SMOKE_ALARM))
    assert detector.hear(10, int(Flag.MUTED)) == []
    assert detector.active == {"smoke"}


# --- troubles


def test_a_low_battery_is_told_by_charge_and_forgotten_only_after_a_new_one() -> None:
    detector = Detector()
    assert detector.hear(0, battery_pct=40.0) == []
    assert detector.hear(10, battery_pct=14.0) == [("low_battery", "raise")]
    assert detector.hear(20, battery_pct=18.0) == []
    assert detector.hear(30, battery_pct=100.0) == [("low_battery", "clear")]


def test_a_battery_that_runs_out_is_told_at_least_seven_days_ahead() -> None:
    samples = [
        Reading(
            detector="d", time_us=at(hour * 3600.0), battery_pct=max(0.0, round(60.0 - hour / 24, 1))
        )
        for hour in range(24 * 50)
    ]
    change = next(c for c in replay(Settings(), samples) if c.kind == "low_battery")
    empty_s = (60.0 - 15.0) * DAY_S
    ahead_days = (at(empty_s) - change.at_us) / S / DAY_S
    assert 7.0 <= ahead_days <= 10.0
    assert change.values["days_left"] <= 7.0
    assert "days left" in change.reason


def test_a_battery_that_is_only_cold_is_not_low() -> None:
    detector = Detector()
    detector.hear(0, battery_pct=50.0, temperature_c=20.0)
    assert detector.hear(600, battery_pct=12.0, temperature_c=-25.0) == []
    assert detector.hear(1200, battery_pct=50.0, temperature_c=18.0) == []


def test_volts_count_where_no_charge_is_known_and_a_limit_is_set() -> None:
    assert Detector(battery_low_v=2.7).hear(0, battery_v=2.6) == [("low_battery", "raise")]
    assert Detector().hear(0, battery_v=2.6) == []


def test_the_end_of_the_sensors_life_comes_at_its_date() -> None:
    detector = Detector(expires_us=at(1000))
    detector.hear(0, co_ppm=1.0)
    assert detector.wait(999) == []
    assert detector.wait(1001) == [("end_of_life", "raise")]


def test_a_silent_sensor_on_a_chatty_device_is_a_fault() -> None:
    detector = Detector()
    detector.hear(0, co_ppm=1.0, temperature_c=20.0)
    turns = [turn for n in range(1, 150) for turn in detector.hear(n * 60, temperature_c=20.0)]
    assert turns == [("fault", "raise")]
    assert "CO channel is silent" in detector.changes[-1].reason
    detector.hear(9000, co_ppm=1.0, temperature_c=20.0)
    assert detector.wait(9700) == [("fault", "clear")]


@pytest.mark.parametrize(
    "values",
    [{"co2_ppm": 62_000.0}, {"co2_ppm": 0.0}, {"o2_pct": 59.0}, {"o2_pct": 9.0}, {"o2_pct": 19.9}],
)
def test_a_doubtful_co2_or_o2_channel_is_a_fault_and_nothing_else(values: dict[str, float]) -> None:
    detector = Detector()
    assert detector.hear(0, **values) == [("fault", "raise")]


def test_o2_and_co2_of_a_burning_room_are_no_fault() -> None:
    detector = Detector()
    for n in range(100):
        detector.hear(n * 2, co2_ppm=450.0 + 400.0 * n, o2_pct=20.9 - 0.05 * n)
    assert detector.changes == []


def test_one_fault_alarm_names_everything_that_is_wrong() -> None:
    detector = Detector()
    detector.hear(0, o2_pct=59.0)
    assert detector.hear(10, o2_pct=59.0, co2_ppm=62_000.0) == [("fault", "update")]
    assert "O2" in detector.changes[-1].reason
    assert "CO2" in detector.changes[-1].reason


# --- supervision


def test_a_detector_is_lost_by_its_own_deadline_and_found_by_its_next_word() -> None:
    detector = Detector(deadline_s=24.5 * 3600)
    detector.hear(0, co_ppm=1.0)
    assert detector.wait(24.4 * 3600) == []
    assert detector.wait(24.6 * 3600) == [("lost", "raise")]
    assert detector.hear(30 * 3600, co_ppm=1.0) == [("lost", "clear")]


def test_a_reading_that_comes_with_the_deadline_is_no_loss() -> None:
    detector = Detector(deadline_s=600.0)
    detector.hear(0, co_ppm=1.0)
    assert detector.hear(5000, co_ppm=1.0) == []


def test_a_registered_detector_of_which_nothing_comes_was_never_seen() -> None:
    detector = Detector(never_seen_after_s=3600.0)
    assert detector.wait(3599) == []
    assert detector.wait(3601) == [("never_seen", "raise")]
    assert detector.hear(4000, co_ppm=1.0) == [("never_seen", "clear")]
    assert "first time" in detector.changes[-1].reason


def test_the_networks_word_that_it_is_gone_counts_after_a_grace() -> None:
    detector = Detector()
    detector.hear(0, co_ppm=1.0)
    assert detector.feed(Presence(online=False), 10) == []
    assert detector.wait(69) == []
    assert detector.wait(71) == [("lost", "raise")]
    assert detector.feed(Presence(online=True), 100) == [("lost", "clear")]


def test_a_network_that_stutters_is_no_loss() -> None:
    detector = Detector()
    detector.hear(0, co_ppm=1.0)
    detector.feed(Presence(online=False), 10)
    detector.feed(Presence(online=True), 20)
    assert detector.wait(3600) == []


@pytest.mark.parametrize(
    ("interval_s", "deaf", "lost_s"),
    [
        # listened for 100 s of 600, then deaf: 500 s are left
        (60, [(100, 5000)], 5500),
        # 30 s were left and a report is due each 60 s: one of them may have fallen into the deaf time
        (60, [(570, 5000)], 5060),
        # how often it reports is not known: a whole deadline, but once
        (None, [(100, 5000)], 5600),
        (None, [(n * 1000 + 300, n * 1000 + 1000) for n in range(3)], 3300),
        # off after every 100 s that we listen
        (60, [(n * 1000 + 100, n * 1000 + 1000) for n in range(5)], 5100),
        # deaf from the moment it spoke
        (60, [(0, 5000)], 5600),
    ],
)  # fmt: skip
def test_deaf_times_count_against_nobody_and_a_silence_goes_on_counting(
    interval_s: float | None, deaf: list[tuple[float, float]], lost_s: float
) -> None:
    detector = Detector(deadline_s=600.0)
    detector.hear(0, co_ppm=1.0)
    detector.state.interval_us = int((interval_s or 0) * S)
    for since_s, until_s in deaf:
        assert detector.wait(since_s) == []
        detector.state = resumed(detector.state, at(since_s), at(until_s))
        detector.wake_us = at(until_s)
    assert detector.wait(lost_s - 1) == []
    assert detector.wait(lost_s + 1) == [("lost", "raise")]
    detector.hear(lost_s + 2, co_ppm=1.0)
    assert detector.state.excused_us == 0


@given(interval_s=st.integers(1, 600), listened_s=st.integers(1, 700), deaf_s=st.integers(1, 10**6))
def test_however_often_we_are_deaf_a_lost_device_is_told_within_two_deadlines_of_listening(
    interval_s: int, listened_s: int, deaf_s: int
) -> None:
    detector = Detector(deadline_s=600.0)
    detector.hear(0, co_ppm=1.0)
    detector.state.interval_us = interval_s * S
    now_s = heard_s = 0
    while "lost" not in detector.active:
        detector.wait(now_s + listened_s)
        heard_s += listened_s
        now_s += listened_s + deaf_s
        detector.state = resumed(detector.state, at(now_s - deaf_s), at(now_s))
        detector.wake_us = at(now_s)
        assert heard_s <= 2 * 600 + 2 * listened_s
    assert heard_s >= 600


@pytest.mark.parametrize(("interval_s", "deadline_s"), [(10.0, 200.0), (600.0, 1800.0)])
def test_a_deadline_follows_from_the_report_interval(interval_s: float, deadline_s: float) -> None:
    assert deadline_from_interval_s(interval_s) == deadline_s


# --- settings


def test_new_settings_count_at_once_and_lose_no_dose() -> None:
    detector = Detector(co_exposure=False)
    for n in range(31):
        detector.hear(n * 60, co_ppm=50.0)
    dose_before = detector.state.co_dose
    detector.feed(Settings(co_exposure=False, deadline_s=700.0), 1810)
    assert detector.state.co_dose >= dose_before
    assert detector.wait(1800 + 701)[-1] == ("lost", "raise")
    later = Detector(co_exposure=False, co_hold_s=1e6)
    for n in range(31):
        later.hear(n * 60, co_ppm=50.0)
    later.feed(Settings(co_exposure=False, co_hold_s=1e6, co_profile="ul2034"), 1810)
    turns = later.wait(8 * 3600)
    assert ("co", "raise") in turns


def test_equal_settings_change_nothing() -> None:
    detector = Detector()
    detector.hear(0, co_ppm=80.0)
    before = detector.state
    assert step(before, Settings(), at(0)).state == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"smoke_dbm": 0.1}, "unknown alarm setting 'smoke_dbm'"),
        ({"smoke_db_m": "high"}, "smoke_db_m: expected float, got str"),
        ({"deadline_s": 0}, "deadline_s: expected float > 0"),
        ({"deadline_s": float("inf")}, "deadline_s: expected float"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"co_profile": "en"}, "co_profile: invalid enum value 'en'"),
        ({"smoke_db_m": 2.0}, "smoke_supported_db_m <= smoke_db_m <= smoke_sure_db_m"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Settings.from_mapping(values)


def test_a_detectors_settings_win_over_its_sites_and_its_models() -> None:
    merged = Settings.from_mapping(
        {"deadline_s": 90, "smoke_db_m": 0.2}, {"deadline_s": 80}, {"deadline_s": 70}
    )
    assert (merged.deadline_s, merged.smoke_db_m) == (70, 0.2)
    assert Settings.from_mapping(merged.differing()) == merged


# --- any order of events

number = {
    "co_ppm": st.sampled_from([0.0, 20.0, 60.0, 150.0, 700.0]),
    "optical_density_db_m": st.sampled_from([0.0, 0.05, 0.2, 0.7, 2.0, 50.0, -1.0]),
    "temperature_c": st.sampled_from([-30.0, 20.0, 40.0, 50.0, 90.0, 900.0]),
    "humidity_pct": st.sampled_from([30.0, 60.0]),
    "battery_pct": st.sampled_from([5.0, 50.0, 100.0]),
    "o2_pct": st.sampled_from([20.9, 50.0]),
}
flags = st.sampled_from([0, *(int(flag) for flag in Flag)])
heard = st.builds(
    lambda values, on, known: (values, on & (on | known), on | known),
    st.fixed_dictionaries({}, optional=number),
    flags,
    flags,
)
gaps_s = st.one_of(st.floats(0.5, 90), st.floats(0, 4000), st.just(0.0))
streams = st.lists(st.tuples(gaps_s, heard), min_size=1, max_size=30)
CHOSEN = {"deadline_s": 3000.0, "never_seen_after_s": 1000.0}


def stream_readings(stream: list[Any]) -> list[Reading]:
    seconds, out = 0.0, []
    for gap_s, (values, on, known) in stream:
        seconds += gap_s
        out.append(reading(seconds, on, known, **values))
    return out


@given(streams, st.integers(0, 29))
@settings(max_examples=150, deadline=None)
def test_a_restart_at_any_point_never_changes_the_outcome(stream: list[Any], when: int) -> None:
    readings = stream_readings(stream)
    steady, restarted = Detector(**CHOSEN), Detector(**CHOSEN)
    for n, event in enumerate(readings):
        seconds = (event.time_us - START_US) / S
        steady.wait(seconds)
        restarted.wait(seconds)
        if n == when % len(readings):
            raw = encode_state(restarted.state)
            assert len(raw) <= MAX_STATE_BYTES
            assert decode_state(raw) == restarted.state
            restarted.state = decode_state(raw)
        assert steady.feed(event, seconds) == restarted.feed(event, seconds)
    assert steady.changes == restarted.changes
    assert steady.state == restarted.state


@given(streams)
@settings(max_examples=100, deadline=None)
def test_raises_and_clears_of_a_kind_alternate_in_order_of_time(stream: list[Any]) -> None:
    on: set[str] = set()
    last_us = 0
    for change in replay(Settings.from_mapping(CHOSEN), stream_readings(stream), tail_us=10**10):
        assert change.at_us >= last_us
        last_us = change.at_us
        assert change.reason
        assert change.kind in CLASS_OF
        assert (change.kind in on) == (change.transition != "raise")
        (on.discard if change.transition == "clear" else on.add)(change.kind)


@given(streams, st.floats(0.001, 1e6))
@settings(max_examples=100, deadline=None)
def test_time_going_backwards_never_raises_or_clears(stream: list[Any], back_s: float) -> None:
    detector = Detector(**CHOSEN)
    for event in stream_readings(stream):
        seconds = (event.time_us - START_US) / S
        detector.feed(event, seconds)
        before = detector.state
        assert step(before, Tick(), at(seconds - back_s)).changes == []
        again = msgspec.structs.replace(event, time_us=event.time_us - round(back_s * S))
        changes = step(before, again, at(seconds - back_s)).changes
        assert [c for c in changes if c.transition != "update"] == []
        assert detector.state is before


@given(streams)
@settings(max_examples=50, deadline=None)
def test_a_step_leaves_the_state_it_was_given_as_it_was(stream: list[Any]) -> None:
    state = initial(Settings.from_mapping(CHOSEN), START_US)
    for event in stream_readings(stream):
        before = encode_state(state)
        after = step(state, event, event.time_us).state
        assert encode_state(state) == before
        state = after


def test_a_late_reading_may_raise_but_not_clear() -> None:
    detector = Detector()
    detector.hear(0, co_ppm=0.0)
    detector.hear(100, int(Flag.SMOKE_ALARM), co_ppm=200.0)
    late = reading(50, 0, int(Flag.SMOKE_ALARM), co_ppm=0.0)
    assert detector.feed(late, 101) == []
    assert detector.state.co_ppm == 200.0
    assert detector.feed(reading(40, int(Flag.TAMPER)), 102) == [("tamper", "raise")]


def test_a_device_whose_clock_was_set_back_is_late_only_once() -> None:
    detector = Detector()
    detector.hear(1000, int(Flag.SMOKE_ALARM))
    detector.feed(reading(10, 0, int(Flag.SMOKE_ALARM)), 1001)
    assert detector.active == {"smoke"}
    assert detector.feed(reading(20, 0, int(Flag.SMOKE_ALARM)), 1011) == [("smoke", "clear")]


# --- the state and its cost


@pytest.mark.parametrize(
    "raw", [b"", b"\0\xc1", b"\0\x93\x09\x80\x90", b"\0\x93\x01\x80\x90", b"\x01xyz", b"hello"]
)
def test_bytes_that_are_no_state_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="alarm state"):
        decode_state(raw)


def test_the_state_of_a_detector_with_everything_on_fits_a_kilobyte() -> None:
    chosen = {"smoke_db_m": 0.151, "deadline_s": 9000.5, "battery_low_v": 2.71, "expires_us": at(10)}
    detector = Detector(**chosen)
    everything = int(sum(Flag)) & ~int(Flag.TEST)
    for n in range(1500):
        detector.hear(
            n * 60.1, everything, co_ppm=99.123 + n, optical_density_db_m=0.777 + n * 0.01,
            temperature_c=90.123, humidity_pct=33.3, battery_pct=4.4, co2_ppm=1e6, o2_pct=99.9,
        )  # fmt: skip
    assert len(detector.active) >= 8
    assert len(encode_state(detector.state)) <= MAX_STATE_BYTES


def test_the_bench_counts_decisions_and_states() -> None:
    result = bench_decide(0.2)
    assert result["decisions_per_s"] > 20_000
    assert 0 < result["state_bytes_mean"] <= result["state_bytes_max"] <= MAX_STATE_BYTES


def test_a_shorter_hold_never_runs_a_dose_backwards() -> None:
    detector = Detector(co_exposure=False)
    for n in range(20):
        detector.hear(n * 60, co_ppm=100.0)
    before = dose_at(detector.state, at(19 * 60))
    detector.feed(Settings(co_exposure=False, co_hold_s=5.0), 19 * 60 + 30)
    detector.hear(30 * 60, co_ppm=100.0)
    assert dose_at(detector.state, at(30 * 60)) >= before > 0


def test_the_shortest_settings_one_may_choose_still_decide() -> None:
    tiny = dict.fromkeys(("smoke_confirm_min_s", "smoke_confirm_max_s", "smoke_sure_confirm_s"), 1e-09)
    detector = Detector(**tiny, cooking_wait_s=1e-9, co_hold_s=1e-9, channel_silent_s=1e-9)
    for n in range(50):
        detector.hear(
            n * 0.01, co_ppm=500.0, optical_density_db_m=0.0 if n < 20 else 9.0, temperature_c=20.0 + n
        )
    assert "smoke" in detector.active


@given(streams, st.lists(st.floats(0, 20_000), max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_tick_nobody_asked_for_never_changes_any_sense(stream: list[Any], ticks: list[float]) -> None:
    steady, poked = Detector(**CHOSEN), Detector(**CHOSEN)
    idle = sorted(ticks)
    for event in stream_readings(stream):
        seconds = (event.time_us - START_US) / S
        while idle and idle[0] < seconds:
            poked.wait(idle[0])
            poked.feed(Tick(), idle.pop(0))
        for detector in (steady, poked):
            detector.wait(seconds)
            detector.feed(event, seconds)
    assert steady.changes == poked.changes
