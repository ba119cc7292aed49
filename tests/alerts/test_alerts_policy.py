"""Policy: pure decisions, the file a city may edit, and the dry run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.dryrun import PolicyError, dry_run, load_policy
from alerts.policy import (
    DEFAULT_POLICY,
    LIVE_LIMIT_S,
    ULAANBAATAR,
    Rule,
    Rung,
    due,
    hazard_of,
    next_timed_rung,
    next_within,
    standing,
)
from edge.wire.clock import US_PER_S, datetime_from_us
from edge.wire.messages import CLASS_OF
from tests.alerts.city import DAY_US, NIGHT_US

HOUR_US = 3600 * US_PER_S
EIGHT_US = NIGHT_US + (4 * 60 + 48) * 60 * US_PER_S
MOMENTS = st.integers(1_577_836_800 * US_PER_S, 2_000_000_000 * US_PER_S)


@pytest.mark.parametrize(
    ("moment_us", "expected_us"),
    [
        (NIGHT_US, EIGHT_US),
        (EIGHT_US, EIGHT_US),
        (EIGHT_US - 1, EIGHT_US),
        (DAY_US, DAY_US),
        (EIGHT_US + 12 * HOUR_US - 1, EIGHT_US + 12 * HOUR_US - 1),
        (EIGHT_US + 12 * HOUR_US, EIGHT_US + 24 * HOUR_US),
        (EIGHT_US + 15 * HOUR_US, EIGHT_US + 24 * HOUR_US),
    ],
)
def test_what_can_wait_waits_for_the_day_in_ulaanbaatar(moment_us: int, expected_us: int) -> None:
    assert next_within((8, 20), moment_us) == expected_us


@given(moment_us=MOMENTS, start=st.integers(0, 22), length=st.integers(1, 23))
def test_the_next_hour_is_never_past_never_far_and_always_inside(
    moment_us: int, start: int, length: int
) -> None:
    hours = (start, min(24, start + length))
    found = next_within(hours, moment_us)
    assert 0 <= found - moment_us <= 24 * HOUR_US
    assert hours[0] <= datetime_from_us(found).astimezone(ULAANBAATAR).hour < hours[1]


@given(now_us=MOMENTS, last_us=st.none() | MOMENTS)
def test_an_alarm_is_always_due_at_once(now_us: int, last_us: int | None) -> None:
    for hazard in ("fire", "co"):
        assert due(DEFAULT_POLICY.rule(hazard), now_us, last_us) == (now_us, "at_once")


@given(now_us=MOMENTS, last_us=st.none() | MOMENTS)
def test_a_trouble_is_told_by_day_and_once_a_day(now_us: int, last_us: int | None) -> None:
    when = due(DEFAULT_POLICY.trouble, now_us, last_us)
    assert when.due_us >= now_us
    assert 8 <= datetime_from_us(when.due_us).astimezone(ULAANBAATAR).hour < 20
    if last_us is not None:
        assert when.due_us >= last_us + 24 * HOUR_US


@pytest.mark.parametrize(
    ("active", "age_s", "listed", "snapshot_us", "live", "reason"),
    [
        (True, None, False, None, True, "active"),
        (True, None, False, NIGHT_US + 1, True, "active"),
        (True, LIVE_LIMIT_S, False, None, True, "active"),
        (True, LIVE_LIMIT_S, False, NIGHT_US, True, "active"),
        (True, 7200, False, None, False, "old_and_not_confirmed"),
        (True, 7200, False, NIGHT_US - 1, False, "old_and_not_confirmed"),
        (True, 7200, False, NIGHT_US, False, "old_and_no_longer_listed"),
        (True, 7200, True, None, True, "active"),
        (True, 7200, True, NIGHT_US, True, "active"),
        (False, 1, False, None, False, "over"),
        (False, None, True, None, False, "over"),
    ],
)
def test_live_or_history_is_judged_by_age_and_what_the_site_lists(
    active: bool, age_s: int | None, listed: bool, snapshot_us: int | None, live: bool, reason: str
) -> None:
    found = standing(
        active=active, age_ms=None if age_s is None else age_s * 1000, raised_us=NIGHT_US,
        listed=listed, snapshot_us=snapshot_us,
    )  # fmt: skip
    assert found == (live, reason)


def test_every_kind_of_alarm_has_a_hazard_and_a_test_is_always_a_test() -> None:
    for kind in CLASS_OF:
        assert hazard_of(kind, test=False) in DEFAULT_POLICY.__struct_fields__
        assert hazard_of(kind, test=True) == "test"


def test_rungs_for_those_not_reached_are_not_climbed_by_time() -> None:
    rule = Rule(
        message="fire", priority=0,
        rungs=(Rung(), Rung(after_s="on_failure"), Rung(after_s=60), Rung(after_s=180)),
    )  # fmt: skip
    assert [next_timed_rung(rule, climbed) for climbed in range(4)] == [2, 2, 3, None]


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


LADDER = """
[fire]
message = "fire"
priority = 0
tell_all_clear = true
tell_history = true
rungs = [{}, {after_s = 60}, {after_s = 180, contacts = "first"}]
"""


def test_a_city_replaces_one_hazard_and_keeps_the_rest(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, LADDER))
    assert [rung.after_s for rung in policy.fire.rungs] == [0, 60, 180]
    assert policy.co == DEFAULT_POLICY.co
    assert load_policy(None) == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[fire", "policy.toml"),
        ("[flood]\npriority = 1", "flood"),
        ('[fire]\nmessage = "fire"\npriority = 0\nrungs = []', "first rung"),
        (LADDER.replace("180", "50"), "growing"),
        (LADDER.replace("priority = 0", "priority = 7"), "priority"),
        (LADDER + "hours = [8, 20]", "never waits"),
        (LADDER + "hours = [20, 8]", "hours"),
        (LADDER + "colour = 1", "colour"),
        (LADDER.replace('"first"', '"nobody"'), "nobody"),
    ],
)
def test_a_wrong_policy_is_refused_with_what_was_expected(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(PolicyError, match=expected) as caught:
        load_policy(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_the_dry_run_names_who_when_and_why(tmp_path: Path) -> None:
    steps = dry_run(load_policy(write(tmp_path, LADDER)), "fire", NIGHT_US)
    assert [(step.at_us, step.contacts, step.why) for step in steps] == [
        (NIGHT_US, "all", "at_once"),
        (NIGHT_US + 60 * US_PER_S, "all", "not_acknowledged"),
        (NIGHT_US + 180 * US_PER_S, "first", "not_acknowledged"),
    ]
    assert dry_run(DEFAULT_POLICY, "trouble", NIGHT_US)[0].at_us == EIGHT_US
