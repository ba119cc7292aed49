"""The link's pure parts: windows and ages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.link import Window, age_ms
from edge.link.window import JITTER, RESEND_AFTER_S, RESEND_CAP_S
from edge.wire.clock import US_PER_S, ManualClock

NOW_US = 1_790_000_000 * US_PER_S


def middle() -> float:
    return 0.5


def test_what_is_not_answered_is_sent_again_later_and_later() -> None:
    window = Window(4, jitter=middle)
    now_s = waited_s = 0.0
    for _ in range(8):
        window.sent(1, now_s)
        due_s = window.next_due_s()
        assert due_s is not None
        assert due_s - now_s >= waited_s
        waited_s = due_s - now_s
        assert window.expire(due_s - 0.01) == 0
        assert window.expire(due_s) == 1
        assert window.under_way == set()
        now_s = due_s
    assert waited_s == RESEND_CAP_S
    assert window.resent == 8
    window.sent(1, now_s)
    window.settle([(1, 1)], now_s + 1)
    window.sent(2, now_s)
    assert window.next_due_s() == now_s + RESEND_AFTER_S


def test_what_is_late_one_after_the_other_backs_off_once_and_an_answer_ends_the_long_wait() -> None:
    window = Window(32, jitter=middle)
    for number in range(8):
        window.sent(number, number * 0.5)
    for number in range(8):  # the city is away: each expires at its own moment and is sent again
        now_s = RESEND_AFTER_S + number * 0.5
        assert window.expire(now_s) == 1
        window.sent(number, now_s)
    assert window.next_due_s() == 3 * RESEND_AFTER_S
    for _ in range(4):
        now_s = window.next_due_s() or 0.0
        while window.expire(now_s):
            pass
        for number in set(range(8)) - window.under_way:
            window.sent(number, now_s)
    window.settle([(3, 3)], now_s)
    last_s = now_s + RESEND_AFTER_S * (1 + JITTER)
    window.expire(last_s)
    assert window.under_way == set()


@given(jitter=st.floats(0, 1))
def test_repeats_are_spread(jitter: float) -> None:
    window = Window(4, jitter=lambda: jitter)
    window.sent(1, 0.0)
    due_s = window.next_due_s()
    assert due_s is not None
    assert RESEND_AFTER_S * (1 - JITTER) <= due_s <= RESEND_AFTER_S * (1 + JITTER)


@given(
    sent=st.sets(st.integers(1, 60), max_size=32),
    ranges=st.lists(st.tuples(st.integers(1, 80), st.integers(0, 2**61)), max_size=6),
)
def test_an_answer_frees_exactly_what_it_names(sent: set[int], ranges: list[tuple[int, int]]) -> None:
    window = Window(32, jitter=middle)
    for seq in sent:
        window.sent(seq, 0.0)
    spans = [(first, first + length) for first, length in ranges]
    named = {seq for seq in sent if any(first <= seq <= last for first, last in spans)}
    assert window.settle(spans, 1.0) == len(named)
    assert window.under_way == sent - named
    assert window.free() == 32 - len(sent - named)


def test_a_quick_link_gets_the_whole_window_and_a_slow_one_little() -> None:
    window = Window(32, adaptive=True, jitter=middle)
    for seq in range(1, 400):
        window.sent(seq, seq * 1.0)
        window.settle([(seq, seq)], seq + 0.02)
    assert window.limit == 32
    for seq in range(400, 460):
        window.sent(seq, seq * 10.0)
        window.settle([(seq, seq)], seq * 10.0 + 3.0)
    assert window.limit == 2


@pytest.mark.parametrize(
    ("boot", "synced", "synced_now", "expected_ms"),
    [
        ("this", True, True, 90_000),
        ("this", False, False, 90_000),
        ("other", True, True, 3_690_000),
        ("other", True, False, None),
        ("other", False, True, None),
    ],
)
def test_age_is_told_by_the_monotonic_clock_or_by_two_good_wall_clocks_or_not(
    boot: str, synced: bool, synced_now: bool, expected_ms: int | None
) -> None:
    clock = ManualClock(NOW_US)
    at_us, mono_us = clock.now_us(), clock.monotonic_us()
    clock.advance(timedelta(seconds=90))
    clock.set_wall(clock.now_us() + 3600 * US_PER_S)
    age = age_ms(
        at_us=at_us, mono_us=mono_us, boot=boot, synced=synced, clock=clock, this_boot="this",
        synced_now=synced_now,
    )  # fmt: skip
    assert age == expected_ms


def test_an_age_is_never_negative() -> None:
    clock = ManualClock(NOW_US)
    age = age_ms(
        at_us=NOW_US + US_PER_S, mono_us=US_PER_S, boot="b", synced=True, clock=clock, this_boot="b",
        synced_now=True,
    )  # fmt: skip
    assert age == 0
