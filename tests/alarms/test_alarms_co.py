"""CO: every window of EN 50291 and UL 2034, COHb vectors, WHO means, and what must hold for any air."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.alarms import Change, Settings, State, Tick, decode_state, encode_state, initial, step
from edge.alarms.co import cohb_after, dose_at, rate_of, who_means
from edge.alarms.replay import replay
from edge.wire.readings import Reading

MIN = 60.0
START_US = 1_700_000_000_000_000
Samples = list[tuple[float, float]]


def readings(samples: Iterable[tuple[float, float]]) -> Iterator[Reading]:
    for at_s, ppm in samples:
        yield Reading(detector="d", time_us=START_US + round(at_s * 1e6), co_ppm=ppm)


def co_raises_s(
    samples: Iterable[tuple[float, float]], profile: str, tail_s: float = 0.0
) -> list[float]:
    """Seconds at which CO is raised; time goes on after the last sample."""
    chosen = Settings.from_mapping({"co_profile": profile, "co_exposure": False})
    return [
        (change.at_us - START_US) / 1e6
        for change in replay(chosen, readings(samples), tail_us=round(tail_s * 1e6))
        if change.kind == "co" and change.transition == "raise"
    ]


def sampling(name: str, length_s: float) -> Iterator[float]:
    """Moments of samples from 0 to the length: every 2, 10, 60 s or irregularly 2 s to 10 min."""
    rng = random.Random(7)
    at_s = 0.0
    while at_s <= length_s:
        yield at_s
        at_s += rng.uniform(2.0, 600.0) if name == "irregular" else float(name)


#: how much of a month is played at each sampling
LONGEST_S = {"2": 3 * 24 * 3600.0, "10": 30 * 24 * 3600.0, "60": 1e9, "irregular": 1e9}
SAMPLINGS = ["2", "10", "60", "irregular"]
#: profile, ppm, must not alarm before (min), must alarm by (min)
ROWS = [
    ("en50291", 30.0, 120.0, None),
    ("en50291", 50.0, 60.0, 90.0),
    ("en50291", 100.0, 10.0, 40.0),
    ("en50291", 300.0, None, 3.0),
    ("ul2034", 30.0, 30 * 24 * 60.0, None),
    ("ul2034", 70.0, 60.0, 240.0),
    ("ul2034", 150.0, 10.0, 50.0),
    ("ul2034", 400.0, 4.0, 15.0),
]
EARLIEST = [(p, ppm, low) for p, ppm, low, _ in ROWS if low is not None]
LATEST = [(p, ppm, high) for p, ppm, _, high in ROWS if high is not None]


@pytest.mark.parametrize("every", SAMPLINGS)
@pytest.mark.parametrize(("profile", "ppm", "minutes"), EARLIEST)
def test_a_constant_value_never_alarms_before_its_window(
    profile: str, ppm: float, minutes: float, every: str
) -> None:
    length_s = min(minutes * MIN, LONGEST_S[every])
    samples = [(at_s, ppm) for at_s in sampling(every, length_s)]
    raised = co_raises_s(samples, profile, tail_s=length_s - samples[-1][0])
    assert all(at_s >= minutes * MIN for at_s in raised)
    if length_s < minutes * MIN:
        # a month every 2 s: after three days the dose is empty and cannot grow from this value
        state = final_state(samples, profile)
        assert dose_at(state, state.now_us) == 0
        assert rate_of(state, ppm) <= 0


def final_state(samples: Samples, profile: str) -> State:
    state = initial(Settings.from_mapping({"co_profile": profile}), START_US)
    for reading in readings(samples):
        state = step(state, reading, reading.time_us).state
    return state


@pytest.mark.parametrize("every", SAMPLINGS)
@pytest.mark.parametrize(("profile", "ppm", "minutes"), LATEST)
def test_a_constant_value_alarms_by_the_end_of_its_window(
    profile: str, ppm: float, minutes: float, every: str
) -> None:
    samples = [(at_s, ppm) for at_s in sampling(every, minutes * MIN)]
    raised = co_raises_s(samples, profile, tail_s=600.0)
    assert raised
    assert raised[0] <= minutes * MIN


def noisy(rng: random.Random, ppm: float, share: float) -> float:
    return max(0.0, ppm * (1.0 + rng.uniform(-share, share)))


@pytest.mark.parametrize("every", ["2", "10", "60"])
@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize(
    ("profile", "ppm", "low", "high"), [row for row in ROWS if row[3] and row[1] != 30.0]
)
def test_noise_around_a_value_keeps_its_window(
    profile: str, ppm: float, low: float | None, high: float, share: float, every: str
) -> None:
    rng = random.Random(f"{ppm}{share}{every}")
    samples = [(at_s, noisy(rng, ppm, share)) for at_s in sampling(every, high * MIN)]
    raised = co_raises_s(samples, profile)
    assert raised
    assert (low or 0.0) * MIN <= raised[0] <= high * MIN


@pytest.mark.parametrize(("profile", "ppm", "minutes"), LATEST)
def test_a_step_from_clean_air_starts_the_window_at_the_step(
    profile: str, ppm: float, minutes: float
) -> None:
    step_s = 3 * 3600.0
    samples = [
        (at_s, ppm if at_s >= step_s else 2.0) for at_s in sampling("60", step_s + minutes * MIN)
    ]
    raised = co_raises_s(samples, profile, tail_s=60.0)
    assert step_s < raised[0] <= step_s + minutes * MIN


@pytest.mark.parametrize("every", SAMPLINGS)
@pytest.mark.parametrize("ppm_per_min", [0.5, 2.0, 10.0, 50.0])
@pytest.mark.parametrize("profile", ["en50291", "ul2034"])
def test_a_ramp_keeps_every_window_it_passes(profile: str, ppm_per_min: float, every: str) -> None:
    samples = [(at_s, ppm_per_min * at_s / MIN) for at_s in sampling(every, 600.0 / ppm_per_min * MIN)]
    first_s = co_raises_s(samples, profile, tail_s=900.0)[0]
    for row_profile, ppm, low, high in ROWS:
        if row_profile != profile:
            continue
        reached = [at_s for at_s, value in samples if value >= ppm]
        if reached and high is not None:
            assert first_s <= reached[0] + high * MIN
        still_below = [at_s for at_s, value in samples if value <= ppm]
        if low is not None and low < 24 * 60.0:
            # while it never exceeded a row's value, it must not alarm before that row's time
            assert first_s >= min(low * MIN, still_below[-1])


def test_the_last_value_is_held_and_ticks_decide_between_rare_samples() -> None:
    assert co_raises_s([(0.0, 300.0)], "en50291", tail_s=600.0) == [pytest.approx(108.0, abs=0.01)]


def test_after_the_stated_gap_the_dose_stands_still_instead_of_growing() -> None:
    chosen = Settings(co_hold_s=60.0, co_exposure=False)
    samples = [(0.0, 50.0), (7200.0, 50.0)]
    assert not list(replay(chosen, readings(samples)))
    state = initial(chosen, START_US)
    for reading in readings(samples):
        state = step(state, reading, reading.time_us).state
    assert dose_at(state, state.now_us) == 60_000_000 * state.limits.co_rates[3]


def test_a_co_alarm_clears_after_fresh_air_and_raises_again_on_the_next_breach() -> None:
    samples = (
        [(float(t), 400.0) for t in range(0, 300, 10)]
        + [(float(t), 5.0) for t in range(300, 4000, 10)]
        + [(float(t), 400.0) for t in range(4000, 4300, 10)]
    )
    chosen = Settings(co_exposure=False)
    turns = [
        (c.kind, c.transition) for c in replay(chosen, readings(samples)) if c.transition != "update"
    ]
    assert [turn for turn in turns if turn[0] == "co"] == [
        ("co", "raise"), ("co", "clear"), ("co", "raise")
    ]  # fmt: skip


def test_dangerous_co_from_the_first_value_on_is_an_alarm_and_a_suspected_fault() -> None:
    changes = list(replay(Settings(), readings([(float(t), 585.0) for t in range(0, 120, 2)])))
    kinds = [(c.kind, c.transition) for c in changes]
    assert ("fault", "raise") in kinds
    assert ("co", "raise") in kinds
    co = next(c for c in changes if c.kind == "co")
    assert co.values["confidence"] < 0.5
    assert "doubtful" in co.reason


def test_a_stuck_co_channel_is_a_fault_and_still_alarms() -> None:
    samples = [(t * 600.0, 120.0) for t in range(6 * 26)]
    changes = list(replay(Settings(), readings([(0.0, 0.0), *((t + 1.0, v) for t, v in samples)])))
    raised = {c.kind: c.at_us for c in changes if c.transition == "raise"}
    assert raised["co"] < raised["fault"]


def test_co_far_below_nothing_is_a_fault_and_no_alarm() -> None:
    samples = [(0.0, 1.0), (10.0, -400.0), (20.0, 1.0)]
    changes = list(replay(Settings(), readings(samples), tail_us=700_000_000))
    assert [(c.kind, c.transition) for c in changes] == [("fault", "raise"), ("fault", "clear")]


def test_co_above_what_any_cell_measures_is_an_alarm_and_a_fault() -> None:
    changes = list(replay(Settings(), readings([(0.0, 1.0), (10.0, 50_000.0), (20.0, 50_000.0)])))
    assert {(c.kind, c.transition) for c in changes} >= {("fault", "raise"), ("co", "raise")}


def test_a_jumping_co_channel_is_a_fault_and_never_stops_the_dose() -> None:
    samples = [(t * 2.0, 400.0 if t % 2 else 100.0) for t in range(200)]
    raised = {
        c.kind for c in replay(Settings(), readings([(-2.0, 5.0), *samples])) if c.transition == "raise"
    }
    assert raised >= {"co", "fault"}


# --- COHb

COHB = [
    (70, 240, 10.68, 10.74, 6.09), (150, 50, 10.04, 10.48, 3.87), (400, 15, 9.51, 10.15, 3.40),
    (100, 40, 5.62, 6.12, 2.42), (50, 90, 5.05, 5.34, 2.45), (300, 3, 1.52, 2.24, 1.15),
    (30, 1440, 5.03, 5.03, 5.12),
]  # fmt: skip
HEAVY_B, REST_B = 0.04043, 0.15217


@pytest.mark.parametrize(("ppm", "minutes", "heavy", "heavy_from", "rest_from"), COHB)
def test_cohb_follows_coburn_forster_kane_to_a_hundredth(
    ppm: float, minutes: float, heavy: float, heavy_from: float, rest_from: float
) -> None:
    assert cohb_after(0.0, ppm, minutes, HEAVY_B) == pytest.approx(heavy, abs=0.01)
    assert cohb_after(0.75, ppm, minutes, HEAVY_B) == pytest.approx(heavy_from, abs=0.01)
    assert cohb_after(0.75, ppm, minutes, REST_B) == pytest.approx(rest_from, abs=0.01)


@pytest.mark.parametrize(("ppm", "minutes", "_heavy", "heavy_from", "_rest"), COHB)
def test_cohb_kept_in_the_state_is_the_same_at_any_sampling(
    ppm: float, minutes: float, _heavy: float, heavy_from: float, _rest: float
) -> None:
    from edge.alarms.co import cohb_at

    for every_s in (7.0, 60.0, 300.0):
        state = initial(Settings(), START_US)
        moments = [n * every_s for n in range(int(minutes * MIN / every_s) + 1)]
        for reading in readings((at_s, ppm) for at_s in moments):
            state = step(state, reading, reading.time_us).state
        at_us = START_US + round(minutes * MIN * 1e6)
        assert cohb_at(state, at_us) == pytest.approx(heavy_from, abs=0.01)


# --- WHO means


def test_a_stove_that_leaks_every_evening_is_noticed_before_it_alarms() -> None:
    samples = [
        (hour * 3600.0 + minute * 60.0, 38.0 if 18 <= hour % 24 < 22 else 3.0)
        for hour in range(48)
        for minute in range(60)
    ]
    changes = list(replay(Settings(), readings(samples)))
    assert {c.kind for c in changes} == {"co_exposure"}
    first = changes[0]
    assert first.transition == "raise"
    assert "1 h" in first.reason
    assert first.values["co_mean_1_h_ppm"] > 30.1
    assert [c.transition for c in changes] == ["raise", "clear"] * (len(changes) // 2) + (
        ["raise"] if len(changes) % 2 else []
    )


def test_who_means_need_three_quarters_of_their_window_measured() -> None:
    tenths = [200] * 40
    quarters = b"".join(value.to_bytes(2, "big") for value in tenths)
    assert who_means(quarters) == {"15 min": 20.0, "1 h": 20.0, "8 h": 20.0}


def test_the_who_day_mean_is_the_mean_of_what_was_breathed() -> None:
    samples = [(t * 60.0, 5.0 if t % 120 < 60 else 9.0) for t in range(25 * 60)]
    state = final_state([(a, p) for a, p in samples], "en50291")
    assert who_means(state.co_quarters)["24 h"] == pytest.approx(7.0, abs=0.3)


# --- what must hold for any air

ppm_values = st.one_of(
    st.floats(0, 60), st.floats(0, 600), st.sampled_from([0.0, 30.0, 40.0, 50.0, 100.0, 300.0, 5000.0])
)
gaps_s = st.one_of(st.floats(1, 60), st.floats(60, 850))
exposures = st.lists(st.tuples(gaps_s, ppm_values), min_size=2, max_size=40)


def laid_out(exposure: Samples) -> Samples:
    samples, at_s = [], 0.0
    for gap_s, ppm in exposure:
        samples.append((at_s, ppm))
        at_s = round(at_s + gap_s, 6)
    return samples


def in_alarm_spans(samples: Samples) -> list[tuple[int, int]]:
    """Spans of active CO alarms, in µs; one still active at the end is open to the end."""
    chosen = Settings(co_exposure=False)
    spans, since = [], None
    end_us = START_US + round((samples[-1][0] + 800) * 1e6)
    for change in replay(chosen, readings(samples), tail_us=800_000_000):
        if change.kind == "co" and change.transition == "raise":
            since = change.at_us
        elif change.kind == "co" and change.transition == "clear" and since is not None:
            spans.append((since, change.at_us))
            since = None
    return spans + ([(since, end_us)] if since is not None else [])


@given(exposures, st.data())
@settings(max_examples=150, deadline=None)
def test_more_co_never_alarms_later_nor_clears_earlier(exposure: Samples, data: st.DataObject) -> None:
    less = laid_out(exposure)
    extra = st.one_of(st.just(0.0), st.floats(0, 200))
    more = [(at_s, ppm + data.draw(extra)) for at_s, ppm in less]
    covering = in_alarm_spans(more)
    for since, until in in_alarm_spans(less):
        assert any(a <= since and until <= b for a, b in covering)


@given(exposures, st.data())
@settings(max_examples=150, deadline=None)
def test_splitting_a_sample_never_changes_the_outcome(exposure: Samples, data: st.DataObject) -> None:
    whole = laid_out(exposure)
    split: Samples = []
    for (at_s, ppm), (next_s, _) in zip(whole, [*whole[1:], (whole[-1][0], 0.0)], strict=True):
        split.append((at_s, ppm))
        parts = data.draw(st.integers(0, 3)) if next_s > at_s else 0
        split += [
            (round(at_s + (next_s - at_s) * n / (parts + 1), 6), ppm) for n in range(1, parts + 1)
        ]
    assert list(replay(Settings(), readings(split))) == list(replay(Settings(), readings(whole)))


@given(exposures, st.lists(st.floats(0, 10_000), max_size=30))
@settings(max_examples=100, deadline=None)
def test_a_tick_nobody_asked_for_never_changes_the_outcome(
    exposure: Samples, ticks: list[float]
) -> None:
    samples = laid_out(exposure)
    idle = sorted(START_US + round(at_s * 1e6) for at_s in ticks)
    state, got, wake_us = initial(Settings(), START_US), [], None
    for reading in readings(samples):
        while True:
            asked = wake_us if wake_us is not None and wake_us < reading.time_us else None
            due = min((at for at in (asked, idle[0] if idle else None) if at is not None), default=None)
            if due is None or due >= reading.time_us:
                break
            if idle and due == idle[0]:
                idle.pop(0)
            state, changes, wake_us = step(state, Tick(), due)
            got += changes
        state, changes, wake_us = step(state, reading, reading.time_us)
        got += changes
    assert got == list(replay(Settings(), readings(samples)))


@given(exposures, st.integers(0, 39))
@settings(max_examples=100, deadline=None)
def test_a_restart_in_mid_exposure_never_changes_the_outcome(exposure: Samples, when: int) -> None:
    samples = laid_out(exposure)
    assert restarted(samples, when % len(samples)) == list(replay(Settings(), readings(samples)))


def restarted(samples: Samples, when: int) -> list[Change]:
    state, changes, wake_us = initial(Settings(), START_US), [], None
    for n, reading in enumerate(readings(samples)):
        while wake_us is not None and wake_us < reading.time_us:
            state, more, wake_us = step(state, Tick(), wake_us)
            changes += more
            if n == when:
                state = decode_state(encode_state(state))
        state, more, wake_us = step(state, reading, reading.time_us)
        changes += more
        if n == when:
            state = decode_state(encode_state(state))
    return changes
