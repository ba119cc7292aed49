"""What is started again, how soon, and when it is given up."""

from __future__ import annotations

from utaa.keeper import FIRST_PAUSE_S, LAST_PAUSE_S, MAX_QUICK_DEATHS, QUICK_S, Tries


def test_quick_deaths_are_given_longer_pauses_and_then_up() -> None:
    tries, now_s, pauses = Tries(started_s=0.0), 0.0, []
    while (pause_s := tries.died(now_s)) is not None:
        pauses.append(pause_s)
        assert not tries.is_due(now_s)
        now_s += pause_s
        assert tries.is_due(now_s)
        tries.started(now_s)
    assert len(pauses) == MAX_QUICK_DEATHS - 1
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] <= LAST_PAUSE_S


def test_a_room_that_lived_a_while_is_never_given_up() -> None:
    tries, now_s = Tries(started_s=0.0), 0.0
    for _ in range(10 * MAX_QUICK_DEATHS):
        now_s += QUICK_S
        assert tries.died(now_s) == FIRST_PAUSE_S
        tries.started(now_s)


def test_a_long_life_forgets_the_quick_deaths_before_it() -> None:
    tries = Tries(started_s=0.0)
    for now_s in range(MAX_QUICK_DEATHS - 1):
        assert tries.died(now_s) is not None
        tries.started(now_s)
    assert tries.died(now_s + QUICK_S) == FIRST_PAUSE_S
