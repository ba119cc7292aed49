"""Recordings: two public data sets and any table."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.errors import RecordingError
from firmware_sim.recordings import Column, Recorded, column_from_text, from_csv, kitchens, nist

CO = [Column("co_ppm", "CO")]


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_nist_gives_a_detector_for_each_room_of_each_run(shared_data: Path) -> None:
    recordings = nist(shared_data / "nist-smoke-alarms")
    assert [each.address for each in recordings] == [
        f"sdc{run}-{room}" for run in ("02", "05", "07", "10") for room in "abcdef"
    ]
    rows = {"sdc02": 101, "sdc05": 41, "sdc07": 120, "sdc10": 116}
    for each in recordings:
        assert len(each.readings) == rows[each.address[:5]]
        assert each.left_out == 0
        assert 199 < each.lasts_s < 240


@pytest.mark.parametrize(
    ("address", "quantity", "peak"),
    [
        ("sdc02-e", "optical_density_db_m", 20.6),
        ("sdc05-b", "optical_density_db_m", 43.8),
        ("sdc05-b", "temperature_c", 181.0),
        ("sdc02-f", "co_ppm", 667.0),
        ("sdc07-f", "co_ppm", 0.0),
        ("sdc10-c", "optical_density_db_m", None),
        ("sdc02-d", "co_ppm", None),
    ],
)
def test_nist_values_come_in_our_units(
    shared_data: Path, address: str, quantity: str, peak: float | None
) -> None:
    by_address = {each.address: each for each in nist(shared_data / "nist-smoke-alarms")}
    found = by_address[address].peak(quantity)
    assert found == (None if peak is None else pytest.approx(peak, rel=0.01))


def test_one_run_can_be_read_alone(shared_data: Path) -> None:
    path = shared_data / "nist-smoke-alarms" / "NIST_Smoke_Alarms_SDC05.csv"
    recordings = nist(path)
    assert len(recordings) == 6
    assert recordings[0].readings[1].at_s == 5.0


def test_nine_kitchens_have_a_reading_a_minute(shared_data: Path) -> None:
    recordings = kitchens(shared_data / "household-stove-co")
    assert [each.address for each in recordings] == [f"kitchen-{n:02d}" for n in range(5, 14)]
    assert sum(len(each.readings) for each in recordings) == 1140
    for each in recordings:
        assert each.lasts_s == 60.0 * (len(each.readings) - 1)
    peaks = {each.address: each.peak("co_ppm") for each in recordings}
    assert peaks["kitchen-06"] == 290.0
    assert peaks["kitchen-07"] == 14.7


def test_a_table_with_steps(tmp_path: Path) -> None:
    path = table(tmp_path, "CO,T\n1,20\n,21\nNaN,\n4,\n1e12,\n")
    recording = from_csv(path, "k", [*CO, Column("temperature_c", "T")], step_s=10)
    assert recording.readings == (
        Recorded(0.0, {"co_ppm": 1.0, "temperature_c": 20.0}),
        Recorded(10.0, {"temperature_c": 21.0}),
        Recorded(30.0, {"co_ppm": 4.0}),
    )
    assert recording.left_out == 2


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["5", "7.5", "8"], [0.0, 2.5, 3.0]),
        (["23:59:00", "00:00:00", "00:01:00"], [0.0, 60.0, 120.0]),
        (["2026-01-01T00:00:00Z", "2026-01-01T08:00:30+08:00"], [0.0, 30.0]),
    ],
)
def test_a_table_with_times(tmp_path: Path, texts: list[str], expected: list[float]) -> None:
    path = table(tmp_path, "\n".join(["t,CO", *(f"{text},1" for text in texts)]))
    recording = from_csv(path, "k", CO, time="t")
    assert [each.at_s for each in recording.readings] == expected


@pytest.mark.parametrize(
    ("text", "cell", "value"),
    [
        ("co_ppm=CO", "4.5", 4.5),
        ("co_ppm=CO:volume_pct", "0.01", 100.0),
        ("optical_density_db_m=SM:per_m", "0.25", 2.5),
        ("optical_density_db_m=SM:pct_ft", "0.5", pytest.approx(0.0714, abs=1e-3)),
        ("temperature_c=T:f", "212", 100.0),
    ],
)
def test_a_map_says_quantity_column_and_unit(text: str, cell: str, value: float) -> None:
    column = column_from_text(text)
    assert column.name in ("CO", "SM", "T")
    assert column.value(cell) == value


def test_a_column_may_have_a_colon_in_its_name() -> None:
    assert column_from_text("co_ppm=CO: ppm").name == "CO: ppm"


@pytest.mark.parametrize("text", ["co_ppm", "=CO", "smell=CO", "co_ppm="])
def test_a_wrong_map_is_named(text: str) -> None:
    with pytest.raises(RecordingError, match="expected QUANTITY=COLUMN"):
        column_from_text(text)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("t,CO\n", {"step_s": 1.0}, "has no rows"),
        ("t,CO\n1,2\n", {}, "either a time column or a step"),
        ("t,CO\n1,2\n", {"time": "t", "step_s": 1.0}, "either a time column or a step"),
        ("t,X\n1,2\n", {"time": "t"}, "no column 'CO'; it has t, X"),
        ("t,CO\nsoon,2\n", {"time": "t"}, "table.csv:2: time 'soon'"),
        ("t,CO\n5,2\n4,2\n", {"time": "t"}, "table.csv:3: time '4' goes back"),
    ],
)
def test_a_wrong_table_is_named(
    tmp_path: Path, text: str, options: dict[str, object], expected: str
) -> None:
    with pytest.raises(RecordingError) as caught:
        from_csv(table(tmp_path, text), "k", CO, **options)  # type: ignore[arg-type]
    assert expected in str(caught.value)


def test_a_file_that_is_missing_or_another_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read"):
        from_csv(tmp_path / "none.csv", "k", CO, step_s=1)
    with pytest.raises(RecordingError, match="no run of the experiments"):
        nist(tmp_path)
    with pytest.raises(RecordingError, match="no run of the experiments"):
        nist(table(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(RecordingError, match="not this data set"):
        kitchens(table(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(RecordingError, match="no column is mapped"):
        from_csv(tmp_path / "none.csv", "k", [], step_s=1)
