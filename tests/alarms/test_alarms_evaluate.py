"""``utaa edge evaluate``: any CSV, its columns, units and groups, and what it says to bad input."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from edge.evaluate import evaluate
from edge.recording import Plan, RecordingError, read_recording

APP = typer.Typer()
APP.command()(evaluate)


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(APP, [str(path), *options])


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def raises(result: Result, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines(result) if (line["kind"], line["transition"]) == (kind, "raise")]


@pytest.fixture
def smoke_csv(tmp_path: Path) -> Path:
    path = tmp_path / "smoke.csv"
    rows = [f"{100 + 2 * n},{0.001 if n < 30 else 0.05},{70 + n % 2},20" for n in range(60)]
    path.write_text("t,SM_1,deg F,x*2\n" + "\n".join(rows) + "\n")
    return path


def test_a_recording_prints_one_json_line_per_transition(smoke_csv: Path) -> None:
    got = lines(run(smoke_csv, "--time", "t", "--map", "optical_density_db_m=SM_1:per_m"))
    assert [line["transition"] for line in got] == ["raise"]
    assert set(got[0]) == {"time_s", "kind", "class", "transition", "reason", "values", "peak"}
    assert (got[0]["kind"], got[0]["class"]) == ("smoke", "alarm")
    # the time column is numeric, so its own number is told
    assert 160.0 < got[0]["time_s"] < 166.0


@pytest.mark.parametrize("source", ["SM_1:per_m", "SM_1*10", "SM_1 * 10 : db_m"])
def test_units_and_factors_say_the_same(smoke_csv: Path, source: str) -> None:
    plain = run(smoke_csv, "--time", "t", "--map", "optical_density_db_m=SM_1:per_m").stdout
    assert run(smoke_csv, "--time", "t", "--map", f"optical_density_db_m={source}").stdout == plain


@pytest.mark.parametrize(
    ("target", "unit", "cell", "expected"),
    [
        ("temperature_c", "f", "70", 21.11), ("temperature_c", "k", "294.15", 21.0),
        ("co_ppm", "volume_pct", "0.01", 100.0), ("co_ppm", "mg_m3", "100", 85.9),
        ("co_ppm", "ppb", "5000", 5.0), ("optical_density_db_m", "pct_ft", "0.5", 0.0714),
        ("optical_density_db_m", "pct_m", "50", 3.01), ("humidity_pct", "fraction", "0.4", 40.0),
        ("pm25_ug_m3", "mg_m3", "0.2", 200.0), ("battery_v", "mv", "2900", 2.9),
        ("o2_pct", "fraction", "0.209", 20.9), ("co2_ppm", "volume_pct", "0.04", 400.0),
    ],
)  # fmt: skip
def test_every_unit_becomes_the_quantitys_own(
    tmp_path: Path, target: str, unit: str, cell: str, expected: float
) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"v\n{cell}\n")
    sample = next(read_recording(path, Plan([f"{target}=v:{unit}"], step_s=1.0)))
    assert getattr(sample.reading, target) == pytest.approx(expected, rel=2e-3)


def test_a_column_whose_name_holds_a_sign_is_found_by_its_whole_name(smoke_csv: Path) -> None:
    sample = next(read_recording(smoke_csv, Plan(["temperature_c=x*2"], time="t")))
    assert sample.reading.temperature_c == 20.0


def test_several_detectors_are_told_apart_by_name(smoke_csv: Path) -> None:
    got = lines(
        run(
            smoke_csv, "--time", "t", "--map", "A/optical_density_db_m=SM_1:per_m",
            "--map", "B/optical_density_db_m=SM_1",
        )
    )  # fmt: skip
    assert {line["detector"] for line in got} == {"A"}


def test_flags_are_read_as_words(tmp_path: Path) -> None:
    path = tmp_path / "flags.csv"
    path.write_text("s,Alarm\n0,No Alarm\n10,Alarm\n20,\n30,no alarm\n")
    got = lines(run(path, "--time", "s", "--map", "co_alarm=Alarm"))
    assert [(line["time_s"], line["transition"]) for line in got] == [(10.0, "raise"), (30.0, "clear")]


def test_rows_without_time_are_counted_by_step_and_the_tail_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "co.csv"
    path.write_text("ppm\n" + "0\n" + "400\n" * 2)
    assert lines(run(path, "--step", "10", "--map", "co_ppm=ppm")) == []
    got = lines(run(path, "--step", "10", "--map", "co_ppm=ppm", "--tail", "300"))
    assert got[0]["kind"] == "co"
    assert got[0]["time_s"] > 20.0


def test_clock_times_go_over_midnight_and_count_from_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    path.write_text("when,ppm\n23:59:50,0\n00:00:10,400\n00:01:10,400\n00:02:10,400\n")
    got = raises(run(path, "--time", "when", "--map", "co_ppm=ppm"), "co")
    assert 20.0 < got[0]["time_s"] < 140.0


@pytest.mark.parametrize(
    "moments",
    [("2026-01-31T10:00:00+08:00", "2026-01-31T02:01:00Z"), ("1/31/2026 10:00", "1/31/2026 10:01")],
)
def test_dates_are_understood(tmp_path: Path, moments: tuple[str, str]) -> None:
    path = tmp_path / "dates.csv"
    path.write_text("at,ppm\n" + "".join(f"{moment},1\n" for moment in moments))
    samples = list(read_recording(path, Plan(["co_ppm=ppm"], time="at")))
    assert [sample.time_s for sample in samples] == [0.0, 60.0]


def test_a_group_column_makes_detectors_and_an_expression_joins_phases(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    rows = [
        f"{h}.{phase},{60 * (phase * 10 + n)},{400 if h == 6 else 2}"
        for h in (5, 6)
        for phase in (1, 2)
        for n in range(10)
    ]
    path.write_text("Stage,s,ppm\n" + "\n".join(rows) + "\n")
    got = raises(run(path, "--time", "s", "--by", r"Stage~^\d+", "--map", "co_ppm=ppm"), "co")
    assert [line["detector"] for line in got] == ["6"]
    only = raises(run(path, "--time", "s", "--where", "Stage=6.*", "--map", "co_ppm=ppm"), "co")
    assert only[0]["time_s"] == got[0]["time_s"]
    assert "detector" not in only[0]


def test_settings_can_be_tried(smoke_csv: Path) -> None:
    options = ("--time", "t", "--map", "optical_density_db_m=SM_1:per_m")
    assert (
        lines(run(smoke_csv, *options, "--set", "smoke_db_m=0.6", "--set", "smoke_sure_db_m=2")) == []
    )


def test_a_gzipped_recording_reads_the_same(smoke_csv: Path) -> None:
    packed = smoke_csv.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(smoke_csv.read_bytes()))
    options = ("--time", "t", "--map", "optical_density_db_m=SM_1:per_m")
    assert run(packed, *options).stdout == run(smoke_csv, *options).stdout


BAD = [
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=c"], "there is no column 'c'; the file has a, b"),
    ("a,b\n1,2\n", ["--time", "z", "--map", "co_ppm=b"], "--time 'z': there is no column 'z'"),
    ("a,b\n1,2\n", ["--map", "co_ppm=b"], "either --time COLUMN or --step SECONDS"),
    ("a,b\n1,2\n", ["--time", "a", "--step", "1", "--map", "co_ppm=b"], "either --time"),
    ("a,b\n1,2\n", ["--step", "0", "--map", "co_ppm=b"], "above 0"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm"], "expected QUANTITY=COLUMN"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co=b"], "unknown quantity 'co'"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=b:furlong"], "unknown unit 'furlong'"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=b*x"], "'x' is no number"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "smoke_alarm=b:ppm"], "is a flag and has no unit"),
    ("a,b\n1,x\n", ["--time", "a", "--map", "co_ppm=b"], "row 2, column 'b': 'x' is no number"),
    ("a,b\n1,2\n2,inf\n", ["--time", "a", "--map", "co_ppm=b"], "row 3, column 'b': co_ppm is inf"),
    ("a,b\n1,2\n2,9e9\n", ["--time", "a", "--map", "co_ppm=b"], "row 3, column 'b': co_ppm is 9e+09"),
    ("a,b\n1,2\nx,2\n", ["--time", "a", "--map", "co_ppm=b"], "row 3, column 'a': 'x' is no number"),
    ("a,b\nx,2\n", ["--time", "a", "--map", "co_ppm=b"], "row 2, column 'a': 'x' is no time"),
    ("a,b\n1e99,2\n", ["--time", "a", "--map", "co_ppm=b"], "row 2, column 'a': '1e99' is no time"),
    ("a,b\n25:61:00,2\n", ["--time", "a", "--map", "co_ppm=b"], "is no time of a day"),
    ("a,b\n5,2\n4,2\n", ["--time", "a", "--map", "co_ppm=b"], "row 3, column 'a': the time goes back"),
    ("a,b\n1,2\n2\n", ["--time", "a", "--map", "co_ppm=b"], "row 3: no column 'b'; it has only 1"),
    ("a,b\n1,maybe\n", ["--time", "a", "--map", "tamper=b"], "row 2, column 'b': 'maybe' is no flag"),
    ("", ["--step", "1", "--map", "co_ppm=b"], "the file is empty"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=b", "--set", "smoke=1"], "setting 'smoke'"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=b", "--by", "a~("], "no regular expression"),
    ("a,b\n1,2\n", ["--time", "a", "--map", "co_ppm=b", "--where", "a"], "expected COLUMN=VALUE"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "message"), BAD)
def test_bad_input_is_told_in_one_line_with_its_place(
    tmp_path: Path, text: str, options: list[str], message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    result = run(path, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("utaa: evaluate ")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    options = ("--step", "1", "--map", "co_ppm=b")
    assert "No such file" in run(tmp_path / "none.csv", *options).stderr
    (tmp_path / "bytes.csv").write_bytes(b"b\n\xff\xfe\x00\n")
    assert "not a CSV in UTF-8" in run(tmp_path / "bytes.csv", *options).stderr
    (tmp_path / "no.csv.gz").write_bytes(b"plain")
    assert run(tmp_path / "no.csv.gz", *options).exit_code == 2


def test_a_plot_is_drawn_or_says_what_to_install(smoke_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = run(
        smoke_csv, "--time", "t", "--map", "optical_density_db_m=SM_1:per_m", "--plot", str(out)
    )
    if importlib.util.find_spec("matplotlib") is None:
        assert result.exit_code == 2
        assert "pip install 'utaa[plot]'" in result.stderr
        assert not out.exists()
    else:
        assert len(lines(result)) == 1
        assert out.read_bytes().startswith(b"\x89PNG")


def test_the_kitchen_of_household_six_is_read_in_its_three_phases(shared_data: Path) -> None:
    path = shared_data / "household-stove-co" / "co_minute_hh05_13.csv"
    result = run(path, "--time", "Date+Time", "--by", r"Stage~^\d+", "--map", "co_ppm=CO(ppm)")
    assert [line["detector"] for line in raises(result, "co")] == ["6"]


def test_reading_is_lazy_up_to_the_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("b\n1\n2\nx\n")
    samples = read_recording(path, Plan(["co_ppm=b"], step_s=1.0))
    assert next(samples).row == 2
    assert next(samples).row == 3
    with pytest.raises(RecordingError, match="row 4"):
        next(samples)
