"""Scenarios: the shipped ones, and mistakes that are named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from firmware_sim.errors import ScenarioError
from firmware_sim.scenario import TROUBLE_KINDS, USUAL_S, load, parse, shipped

HOME = '[[homes]]\nname = "ger-001"\n'


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_loads_under_its_own_name(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert scenario.about
    assert len(scenario.detectors()) >= 10


def test_three_scenarios_are_shipped() -> None:
    assert list(shipped()) == ["demo", "quiet", "trouble"]


def test_the_homes_of_shipped_scenarios_lie_in_real_khoroos(shared_data: Path) -> None:
    with (shared_data / "admin-boundaries" / "ub_khoroo_codes.csv").open() as file:
        real = {row["pcode"] for row in csv.DictReader(file)}
    named = {home.khoroo for name in shipped() for home in load(name).homes}
    assert named <= real
    assert len({code[:6] for code in named}) >= 5  # districts


def test_the_demo_has_a_fire_within_a_minute_and_both_formats() -> None:
    demo = load("demo")
    assert min(each.at_s for each in demo.happenings if each.what == "flaming_fire") < 30
    assert {home.format for home in demo.homes} == {"native", "zigbee2mqtt"}


def test_nothing_dangerous_happens_on_a_quiet_day() -> None:
    assert {each.what for each in load("quiet").happenings} == {"stove", "cooking"}


def test_the_trouble_scenario_has_drop_offs_clocks_duplicates_and_garbage() -> None:
    whats = {each.what for each in load("trouble").happenings}
    assert {"drop_off", "wrong_clock", "duplicates", "garbage", "flaming_fire"} <= whats


def test_a_group_of_homes_unrolls_with_numbers_and_addresses() -> None:
    scenario = parse('name = "x"\n[[homes]]\nname = "ger"\ncount = 2\nsiren = true\n', "x")
    assert [d.address for d in scenario.detectors()] == [
        "ger-001-smoke", "ger-001-co", "ger-002-smoke", "ger-002-co",
    ]  # fmt: skip
    assert scenario.sirens() == ["ger-001-siren", "ger-002-siren"]


def test_a_repeated_happening_unrolls_while_the_scenario_lasts() -> None:
    scenario = parse(
        f'name = "x"\nlasts_s = 100\n{HOME}[[happenings]]\n'
        'at_s = 10\nhome = "ger-001"\nwhat = "cooking"\nfor_s = 5\nevery_s = 30\n',
        "x",
    )
    assert [each.at_s for each in scenario.happenings] == [10, 40, 70]
    assert len(scenario.activities_of("ger-001")) == 3


def test_a_trouble_may_concern_one_detector_or_all_of_a_home() -> None:
    scenario = parse(
        f'name = "x"\n{HOME}'
        '[[happenings]]\nat_s = 1\nhome = "ger-001"\nwhat = "tamper"\ndetector = "co"\n'
        '[[happenings]]\nat_s = 2\nhome = "ger-001"\nwhat = "garbage"\n',
        "x",
    )
    smoke, co = scenario.detectors()
    assert [each.what for each in scenario.troubles_of(smoke)] == ["garbage"]
    assert [each.what for each in scenario.troubles_of(co)] == ["tamper", "garbage"]


def test_every_kind_of_happening_has_a_usual_length() -> None:
    assert set(TROUBLE_KINDS) < set(USUAL_S)
    assert all(seconds > 0 for seconds in USUAL_S.values())


FIRE = '[[happenings]]\nat_s = 1\nhome = "ger-001"\nwhat = "flaming_fire"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "is no TOML"),
        ('name = "x"\n', "homes"),
        (f'name = "x"\ninterval = 3\n{HOME}', "unknown field `interval`; expected one of name"),
        (f'name = "x"\ninterval_s = 0\n{HOME}', "interval_s: Expected `float` > 0"),
        (f'name = "x"\ninterval_s = "fast"\n{HOME}', "interval_s: Expected `float`, got `str`"),
        (f'name = "x"\n{HOME}roof = "felt"\n', "homes[0]: "),
        (f'name = "x"\n{HOME}detectors = ["gas"]\n', "homes[0].detectors[0]"),
        (f'name = "x"\n{HOME}detectors = []\n', "homes[0].detectors"),
        (f'name = "x"\n{HOME}detectors = ["co", "co"]\n', "two detectors of one kind"),
        (f'name = "x"\n{HOME}khoroo = "12"\n', "homes[0].khoroo"),
        (f'name = "x"\n{HOME}count = 0\n', "homes[0].count"),
        ('name = "x"\n[[homes]]\nname = "g"\ncount = 40000\n', "80000 detectors; at most 50000"),
        (f'name = "x"\n{HOME}{HOME}', "'ger-001' is there twice"),
        (f'name = "x"\n{HOME}{FIRE.replace("flaming_fire", "flood")}', "happenings[0].what"),
        (f'name = "x"\n{HOME}{FIRE.replace("flaming_fire", "flood")}', "smouldering_fire"),
        (f'name = "x"\n{HOME}{FIRE.replace("ger-001", "ger-9")}', "there is no home 'ger-9'"),
        (f'name = "x"\n{HOME}{FIRE}for_s = -1\n', "happenings[0].for_s"),
        (f'name = "x"\n{HOME}{FIRE}detector = "smoke"\n', "concerns the whole home"),
        (f'name = "x"\n{HOME}{FIRE}keeps = true\n', "only a drop_off has it"),
        (f'name = "x"\n{HOME}{FIRE}offset_s = 3\n', "only a wrong_clock has one"),
        (f'name = "x"\n{HOME}{FIRE}every_s = 3\n', "every_s needs the scenario's lasts_s"),
        (f'name = "x"\nlasts_s = 1e9\n{HOME}{FIRE}every_s = 1\n', "at most 10000"),
        (
            f'name = "x"\n{HOME}{FIRE.replace("flaming_fire", "tamper")}detector = "heat"\n',
            "expected one of smoke, co",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "my.toml")
    assert str(caught.value).startswith("my.toml: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="demo, quiet, trouble"):
        load("nope")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="no UTF-8"):
        load(str(path))
