"""The snapshot in parts and the short queue on the line: pure."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge.link.line import FIRST_BYTES, LEAST_BYTES, MOST_BYTES, QUEUE_S, Line
from edge.link.listing import PARTS_WINDOW, Listing, in_parts
from edge.link.window import RESEND_CAP_S, Window
from edge.wire.messages import MAX_MESSAGE_BYTES, Alarm, AlarmKind, Snapshot, decode, encode

KINDS: tuple[AlarmKind, ...] = ("low_battery", "smoke", "co_exposure", "co")


def snapshot(count: int, reason: str = "because") -> Snapshot:
    alarms = [
        Alarm(id=f"a{n}", kind=KINDS[n % 4], detector=f"d{n}", raised_us=n, revision=1, reason=reason)
        for n in range(count)
    ]
    return Snapshot(
        site="site", epoch="e", nonce="n", at_us=9, last_seq=count, active=alarms,
        age_ms={alarm.id: n for n, alarm in enumerate(alarms) if n % 2},
    )  # fmt: skip


def new_listing(count: int) -> tuple[Listing, Window]:
    window = Window(PARTS_WINDOW, jitter=lambda: 0.5)
    return Listing(snapshot(count), window), window


@given(count=st.integers(0, 200), size=st.integers(1, 30))
def test_the_parts_hold_every_alarm_once_with_its_age_and_the_worst_first(
    count: int, size: int
) -> None:
    whole = snapshot(count)
    parts = in_parts(whole, size)
    listed = [alarm for part in parts for alarm in part.active]
    assert {alarm.id for alarm in listed} == {alarm.id for alarm in whole.active}
    assert len(listed) == count
    ranks = [("alarm", "supervisory", "trouble").index(alarm.alarm_class) for alarm in listed]
    assert ranks == sorted(ranks)
    ages: dict[str, int] = {}
    for part in parts:
        assert part.age_ms.keys() <= {alarm.id for alarm in part.active}
        ages |= part.age_ms
    assert ages == whole.age_ms
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert {part.parts for part in parts} == {len(parts)}
    assert len({part.nonce for part in parts}) == len(parts)


def test_ten_thousand_alarms_with_the_longest_words_fit_the_messages() -> None:
    for part in in_parts(snapshot(10_000, "ө" * 500)):
        raw = encode(part)
        assert len(raw) < MAX_MESSAGE_BYTES / 50
        assert decode(raw, Snapshot) == part


@given(count=st.integers(0, 130), seed=st.integers(0, 2**32))
def test_the_last_part_goes_when_all_others_are_answered_whatever_is_lost(
    count: int, seed: int
) -> None:
    chance = random.Random(seed)
    listing, window = new_listing(count)
    answered: set[int] = set()
    now_s, parts = 0.0, 1
    for _ in range(10_000):
        if listing.is_done:
            break
        listing.is_stuck(now_s)
        while (part := listing.due("store-1")) is not None:
            parts = part.parts
            assert part.part not in answered
            if part.part == parts > 1:
                assert answered == set(range(1, parts))
                assert part.completes("store-1")
                assert not part.completes("store-2")
            else:
                assert part.completes("store-1") == (parts == 1)
            listing.sent(part, now_s)
            assert len(window.under_way) <= PARTS_WINDOW
            if chance.random() < 0.6:
                listing.answered([part.nonce, "of somebody else"], now_s)
                answered.add(part.part)
                assert listing.is_begun == (1 in answered)
        now_s = listing.next_due_s() or now_s
    assert listing.is_done
    assert answered == set(range(1, parts + 1))


def test_a_listing_that_does_not_move_is_taken_anew_and_one_that_moves_goes_on() -> None:
    listing = Listing(snapshot(100), Window(2, jitter=lambda: 0.5))
    first, second = listing.due(None), None
    assert first is not None
    listing.sent(first, 0.0)
    second = listing.due(None)
    assert second is not None
    listing.sent(second, 0.0)
    assert listing.due(None) is None
    assert not listing.is_stuck(1.0)
    listing.answered([second.nonce], 1.0)
    assert not listing.is_stuck(RESEND_CAP_S)  # the first is lost, but the second came through
    again = listing.due(None)
    assert again == first
    listing.sent(first, RESEND_CAP_S)
    assert listing.is_stuck(3 * RESEND_CAP_S)


def drive(line: Line, *, bytes_per_s: float, round_trip_s: float, seconds: float, size: int) -> float:
    """Send as fast as the line object allows over a line of a rate; the longest queue of the second
    half, in seconds."""
    now_s, free_s, longest_s = 0.0, 0.0, 0.0
    under_way: list[tuple[float, float]] = []
    while now_s < seconds:
        while line.is_free():
            line.sent(size)
            free_s = max(free_s, now_s) + size / bytes_per_s
            under_way.append((free_s + round_trip_s, now_s))
            if now_s > seconds / 2:
                longest_s = max(longest_s, free_s - now_s)
        done_s, sent_s = under_way.pop(0)
        now_s = max(now_s, done_s)
        line.arrived(size, sent_s, now_s)
    return longest_s


def test_a_thin_lines_queue_stays_short() -> None:
    line = Line()
    size = 9_000
    longest_s = drive(line, bytes_per_s=32_000, round_trip_s=0.6, seconds=120, size=size)
    assert longest_s <= 0.6 + QUEUE_S + 2 * size / 32_000


def test_a_quick_line_is_used_whole() -> None:
    line = Line()
    drive(line, bytes_per_s=20e6, round_trip_s=0.02, seconds=10, size=12_000)
    assert line.limit >= 20e6 * 0.02


@given(
    steps=st.lists(st.tuples(st.integers(1, 50_000), st.floats(0, 20)), max_size=60),
)
def test_one_message_may_always_go_and_the_bound_holds(steps: list[tuple[int, float]]) -> None:
    line = Line()
    assert line.limit == FIRST_BYTES
    now_s = 0.0
    for size, took_s in steps:
        assert line.is_free()
        line.sent(size)
        now_s += took_s
        line.arrived(size, now_s - took_s, now_s)
        assert line.under_way == 0
        assert LEAST_BYTES <= line.limit <= MOST_BYTES
