"""What a camera sees, what its fields may hold, what its steps ask for: pure decisions."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from shapely import Point, box

from registry.cameras.life import ASKED, STATES, STEPS
from registry.cameras.sight import LEVELS, View, coverage, distances, footprint
from registry.cameras.twins import turn_between
from registry.cameras.values import normal_ip, normal_mac, split_stream
from registry.evidence import Asked, Incomplete, Proof

GEOD = Geod(ellps="WGS84")
#: The table once more, by hand.
WAYS = {
    "install": ({"planned"}, "installed"),
    "inspect": ({"installed"}, "inspected"),
    "register": ({"inspected"}, "registered"),
    "activate": ({"registered"}, "active"),
    "break": ({"active"}, "faulty"),
    "repair": ({"faulty"}, "active"),
    "retire": ({"active", "faulty"}, "retired"),
}


def test_the_life_is_the_table_and_every_step_asks_for_something() -> None:
    assert {name: (set(step.origins), step.goal) for name, step in STEPS.items()} == WAYS
    assert {step.goal for step in STEPS.values()} == set(STATES) - {"planned"}
    assert all(ASKED[name].proofs for name in STEPS)


def test_distances_are_those_of_the_standards_formula() -> None:
    """1920 px at 90°: detect, observe, recognise, identify 38.4, 15.4, 7.7, 3.8 m."""
    found = distances(1920, 90)
    levels = ("detect", "observe", "recognise", "identify")
    assert [round(found[level], 1) for level in levels] == [38.4, 15.4, 7.7, 3.8]
    assert found["monitor"] == pytest.approx(2 * found["detect"])
    assert distances(1920, 360)["detect"] == pytest.approx(1920 / 25 / (2 * math.pi))


@given(
    st.floats(41, 52), st.floats(87, 120), st.floats(0, 359.9), st.floats(10, 170),
    st.floats(2, 12), st.floats(0, 60), st.sampled_from(sorted(LEVELS)),
)  # fmt: skip
def test_a_footprint_lies_ahead_and_within_reach(lat, lon, azimuth, hfov, height, tilt, level) -> None:
    view = View(lat, lon, azimuth, hfov, 3840, 2160, height, tilt)
    ground = footprint(view, level)
    if ground is None:
        return
    assert ground.is_valid
    reach = distances(3840, hfov)[level]
    for x, y in ground.exterior.coords:
        away = GEOD.inv(lon, lat, x, y)[2]
        assert math.hypot(away, height) <= reach * 1.01 + 0.1


def test_a_footprint_has_the_edges_that_its_tilt_gives_it() -> None:
    """4 m high, 45° down, 30° wide and as high: from 4·tan(30°) to 4·tan(60°) along its axis."""
    view = View(47.9, 108.4, 0, 30, 1000, 1000, 4, 45)
    ground = footprint(view, "monitor")
    aside = [GEOD.inv(108.4, 47.9, x, y) for x, y in ground.exterior.coords]
    ahead = [distance for turn, _, distance in aside if abs(turn) < 1]
    assert min(ahead) == pytest.approx(4 * math.tan(math.radians(30)), rel=0.01)
    assert max(ahead) == pytest.approx(4 * math.tan(math.radians(60)), rel=0.01)
    assert footprint(View(47.9, 108.4, 0, 30, 100, 100, 20, 45), "identify") is None, "too high"


def test_a_camera_that_looks_all_round_covers_a_disc() -> None:
    ground = footprint(View(47.9, 108.4, 0, 360, 1920, 1080, 3, None), "detect")
    assert ground.contains(Point(108.4, 47.9))
    reach = math.sqrt(distances(1920, 360)["detect"] ** 2 - 9)
    area = abs(GEOD.geometry_area_perimeter(ground)[0])
    assert area == pytest.approx(math.pi * reach**2, rel=0.01)


def test_overlap_and_blind_spots_add_up_to_the_area_beyond_108_degrees_east() -> None:
    area = box(108.399, 47.8995, 108.401, 47.9005)
    one = footprint(View(47.9, 108.3995, 90, 90, 1920, 1080, 4, 15))
    two = footprint(View(47.9, 108.4000, 270, 90, 1920, 1080, 4, 15))
    found = coverage(area, [one, two])
    assert found.area_m2 == pytest.approx(abs(GEOD.geometry_area_perimeter(area)[0]), rel=1e-3)
    assert found.seen_m2 + found.blind_m2 == pytest.approx(found.area_m2, rel=1e-9)
    alone = [coverage(area, [ground]).seen_m2 for ground in (one, two)]
    assert found.overlap_m2 == pytest.approx(sum(alone) - found.seen_m2, rel=1e-6)
    assert found.overlap_m2 > 0
    nothing = coverage(area, [])
    assert (nothing.seen_m2, nothing.blind_m2) == (0, nothing.area_m2)


@pytest.mark.parametrize(
    ("one", "other", "turn"), [(350, 5, 15), (5, 350, 15), (0, 180, 180), (90, 90, 0), (None, 3, None)]
)
def test_the_turn_between_two_directions_goes_the_short_way(one, other, turn) -> None:
    assert turn_between(one, other) == turn


@pytest.mark.parametrize(
    "text", ["3C-EF-8C-01-02-03", "3cef.8c01.0203", " 3c:ef:8c:01:02:03 ", "3CEF8C010203"]
)
def test_every_spelling_of_a_mac_has_one_form(text) -> None:
    assert normal_mac(text) == "3c:ef:8c:01:02:03"


@given(st.text(max_size=30))
def test_no_text_makes_the_fields_fall_over(text) -> None:
    for normal in (normal_mac, normal_ip, split_stream):
        try:
            normal(text)
        except ValueError as refused:
            assert str(refused).startswith("expected")


@pytest.mark.parametrize(
    ("text", "address", "secret"),
    [
        ("rtsp://u:p@10.0.0.7:554/a?b=1", "rtsp://10.0.0.7:554/a?b=1", "u:p"),
        ("rtsp://u:p%40@[fd00::7]/a", "rtsp://[fd00::7]/a", "u:p%40"),
        ("rtsp://cam.example.org/a", "rtsp://cam.example.org/a", None),
    ],
)
def test_a_streams_user_and_password_are_split_off(text, address, secret) -> None:
    assert split_stream(text) == (address, secret)


def test_all_that_a_step_lacks_is_told_at_once() -> None:
    asked = Asked(
        {"on": Proof("day"), "ok": Proof("yes"), "why": Proof("word", ("a", "b"))}, {"x": "an x"}
    )
    record = type("Record", (), {"x": None})()
    given_ = {"on": "2026-11-22", "ok": 1, "why": "c", "more": 1}
    with pytest.raises(Incomplete) as refused:
        asked.check(record, given_, date(2026, 11, 21))
    assert set(refused.value.missing) == {
        "evidence.on", "evidence.ok", "evidence.why", "evidence.more", "x",
    }  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "127.1"])
def test_a_stream_is_not_registered_where_no_camera_can_be(host: str) -> None:
    with pytest.raises(ValueError, match="not on this machine"):
        split_stream(f"rtsp://user:pass@{host}:554/a")
