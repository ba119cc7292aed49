"""The course of a long ingest bench: what it wrote down is gone on with, and drawn."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from utaa.bench.course import Course, Head, Stretch
from utaa.bench.feeder import Order, times_us, values
from utaa.bench.plot import svg


def head(**changes: object) -> Head:
    first = Head(folder="/x", store="SQLite", epoch="e1", start_us=7, sites=10, each=20, rounds=50)
    return msgspec.structs.replace(first, **changes)


def stretch(rows: int, seconds: float = 2.0) -> Stretch:
    return Stretch(rows=rows, readings=200, seconds=seconds, cpu_s={"gateway": 0.5}, reads_ms=[3.0])


def test_a_run_goes_on_behind_its_last_whole_line_with_its_first_epoch(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    first = Course.opened(head(), file)
    first.add(stretch(200))
    first.add(stretch(600))
    with file.open("ab") as torn:
        torn.write(b'{"rows":80')
    again = Course.opened(head(epoch="e2", start_us=8, folder="/y"), file)
    assert again.head == head()
    assert [one.rows for one in again.stretches] == [200, 600]
    again.add(stretch(800))
    assert [one.rows for one in Course.opened(head(), file).stretches] == [200, 600, 800]
    again.stretches.pop()
    # frames of the third round may have been under way when it was stopped
    assert again.first_round == 2
    assert again.figures()["readings_per_s"] == 100
    assert again.figures()["cpu_us_per_reading"] == {"gateway": 2500.0}


@pytest.mark.parametrize("other", [{"rounds": 51}, {"store": "InfluxDB"}, {"each": 21}])
def test_a_file_of_another_run_is_refused(tmp_path: Path, other: dict[str, object]) -> None:
    file = tmp_path / "progress"
    Course.opened(head(), file)
    with pytest.raises(ValueError, match="of another run"):
        Course.opened(head(**other), file)


def test_a_file_that_is_no_course_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    file.write_text("rows: 7\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no progress of this bench"):
        Course.opened(head(), file)


def test_a_course_is_drawn_within_its_frame_whatever_its_numbers() -> None:
    for points in ([], [(1.0, 0.0)], [(200_000.0, 41_250.0), (100_000_000.0, 987_654.0)]):
        drawn = ElementTree.fromstring(svg(points, title="a < b", across="x", up="y", aim=200_000))
        line = drawn.find("{http://www.w3.org/2000/svg}polyline")
        assert line is not None
        places = [tuple(map(float, one.split(","))) for one in line.attrib["points"].split()]
        assert len(places) == len(points)
        assert all(0 <= x <= 720 and 0 <= y <= 300 for x, y in places)


def test_what_a_site_measured_follows_from_site_detector_and_round() -> None:
    order = Order(host="", port=0, epoch="e", start_us=0, sites=3, each=7, rounds=2)
    one, other = values(order, 1, 0), values(order, 1, 1)
    assert {name: len(column) for name, column in one.items()} == dict.fromkeys(one, 7)
    assert not np.array_equal(one["co_ppm"], other["co_ppm"])
    assert np.array_equal(one["co_ppm"], values(order, 1, 0)["co_ppm"])
    assert np.array_equal(times_us(order, 1, 1) - times_us(order, 1, 0), np.full(7, 10_000_000))
