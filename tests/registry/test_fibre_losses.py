"""Who loses what, who only seems to have two ways, and where the cut is."""

from __future__ import annotations

import contextlib
import struct
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.fibre.generated import city_of
from registry.fibre.geometry import between_m
from registry.fibre.impact import impact
from registry.fibre.locate import Locator
from registry.fibre.network import Network
from registry.fibre.plant import Plant
from registry.fibre.proving import NOISES, prove
from registry.fibre.redundancy import redundancy, second_way
from registry.fibre.sor import SorError, point_at, read_sor
from registry.fibre.values import PlantError


def _trap(*, second_trench: str | None = "T1") -> Plant:
    """A school with two cables to the POP by two routes; in one trench, unless told otherwise."""
    plant = Plant()
    plant.add_node("POP", "pop", 106.90, 47.90)
    plant.add_node("CAB", "cabinet", 106.91, 47.90)
    plant.add_node("SCHOOL", "building", 106.911, 47.90)
    plant.add_route("R1", "POP", "CAB", trench="T1", duct="1")
    plant.add_route("R2", "POP", "CAB", trench=second_trench, duct="2")
    plant.add_route("R3", "CAB", "SCHOOL")
    plant.add_type("2", 1, 2)
    plant.add_equipment("CORE", "POP", "core", 4)
    plant.add_equipment("SW", "CAB", "switch", 4)
    plant.add_equipment("CPE", "SCHOOL", "converter", 1)
    for number in (1, 2):
        plant.add_cable(f"K{number}", "2", "POP", [f"R{number}"])
        plant.join("termination", f"CORE/{number}/front", f"K{number}/1/A")
        plant.join("termination", f"SW/{number}/front", f"K{number}/1/B")
    plant.add_cable("K3", "2", "CAB", ["R3"])
    plant.join("termination", "SW/3/front", "K3/1/A")
    plant.join("termination", "CPE/1/front", "K3/1/B")
    plant.add_endpoint("organisation", "school", "CPE", criticality=2)
    return plant


@lru_cache
def _city() -> Locator:
    """1,300 cameras at three POPs, rings and all; compiled once."""
    locator = Locator(Network(city_of(1300).plant))
    locator.compile()
    return locator


def test_two_cables_in_one_trench_are_no_second_way() -> None:
    network = Network(_trap())
    assert [s.key for s in impact(network, ["trench:T1"]).subjects] == ["organisation:school"]
    assert impact(network, ["cable:K1"]).subjects == ()
    assert impact(network, ["route:R1"]).subjects == ()
    found = redundancy(network)
    assert found.single[0].shares
    assert found.bridges == {"trench:T1": 1, "route:R3": 1}
    assert found.articulations["node:POP"] == found.articulations["node:CAB"] == 1


def test_in_two_trenches_they_are_one() -> None:
    network = Network(_trap(second_trench="T2"))
    assert impact(network, ["trench:T1"]).subjects == ()
    assert len(impact(network, ["trench:T1", "trench:T2"]).subjects) == 1
    assert len(impact(network, ["cable:K1", "route:R2"]).subjects) == 1
    assert "trench:T1" not in redundancy(network).bridges


def test_a_second_way_avoids_the_trench_that_both_cables_share() -> None:
    plant = _trap()
    plant.add_node("NEAR", "manhole", 106.912, 47.901)
    plant.add_route("R9", "POP", "NEAR", trench="T9")
    way = second_way(Network(plant), "organisation:school")
    assert way.dig == ("SCHOOL", "NEAR")
    assert way.dig_m == pytest.approx(between_m((106.911, 47.90), (106.912, 47.901)))
    assert way.nodes == ("SCHOOL", "NEAR", "POP")
    assert set(way.avoids) == {"trench:T1", "route:R3"}
    with pytest.raises(PlantError, match="nobody of the plant"):
        second_way(Network(plant), "organisation:nobody")


def test_a_planned_or_removed_cable_carries_no_light() -> None:
    plant = _trap()
    plant.cables["K3"].status = "planned"
    network = Network(plant)
    assert redundancy(network).unconnected == ("organisation:school",)
    assert impact(network, ["node:POP"]).subjects == ()


_ELEMENTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=5, unique=True)


@settings(max_examples=60, deadline=None)
@given(_ELEMENTS, _ELEMENTS)
def test_the_impact_of_a_set_contains_the_impact_of_each_part(a: list[int], b: list[int]) -> None:
    network = _city().network
    names = [[network.risks[number % len(network.risks)] for number in part] for part in (a, b)]
    parts = [{s.key for s in impact(network, part).subjects} for part in names]
    whole = {s.key for s in impact(network, [*names[0], *names[1]]).subjects}
    assert whole >= parts[0] | parts[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_a_single_failure_takes_exactly_whom_the_exposure_says(number: int) -> None:
    network = _city().network
    risk = number % len(network.risks)
    assert network.lost_subjects([risk]).tolist() == sorted(network.losers.row(risk).tolist())


def test_cutting_an_unused_cable_affects_nobody() -> None:
    plant = city_of(300).plant
    before = redundancy(Network(plant))
    plant.add_cable("SPARE", "G652-12", "P0", ["R-BB0-1"])
    network = Network(plant)
    assert impact(network, ["cable:SPARE"]).subjects == ()
    plant.cables["SPARE"].status = "removed"
    after = redundancy(Network(plant))
    assert (after.bridges, after.unconnected) == (before.bridges, before.unconnected)


def test_a_provider_takes_its_cables_and_devices_with_it() -> None:
    network = _city().network
    assert len(impact(network, ["provider:city-net"]).subjects) == len(network.subjects)
    with pytest.raises(PlantError, match="nothing of the plant is theirs"):
        impact(network, ["provider:nobody"])
    with pytest.raises(PlantError, match="expected one of trench"):
        impact(network, ["T1"])


@pytest.mark.parametrize("noise", NOISES)
def test_every_cut_span_is_found(noise: str) -> None:
    found = prove(_city(), noise, seed=3)  # type: ignore[arg-type]
    assert found.all.cuts > 1500
    assert found.protected > 5
    for what, least in (("first", 0.95), ("in_three", 0.99)):
        assert (found.all.share(what) or 0) >= least
        assert (found.all.share(f"strictly_{what}") or 0) >= least - 0.005
    assert found.all.slowest_s < 1


def test_two_trunk_cuts_at_once_are_two_causes() -> None:
    locator = _city()
    network = locator.network
    lost = {n for trench in ("trench:T-P0-N1", "trench:T-P2-E1")
            for n in network.losers.row(network.risk(trench)).tolist()}  # fmt: skip
    causes = locator.causes(lost)
    assert {finding.sections[0].cause for finding in causes} == {"trench:T-P0-N1", "trench:T-P2-E1"}
    assert set().union(*(finding.explained for finding in causes)) == lost


def test_a_pops_power_is_told_from_a_cut_and_a_dead_camera_from_both() -> None:
    locator = _city()
    network = locator.network
    pop = network.losers.row(network.risk("node:P1")).tolist()
    best = locator.locate(pop).best
    assert best is not None
    assert best.cause == "node:P1"
    assert best.confidence > 0.9
    camera = network.number_of["camera:c-P1-N0-E0-1"]
    alone = locator.locate([camera]).best
    assert alone is not None
    assert alone.cause in ("device:O-P1-N0-E0-1", "node:P1-N0-E0-1")
    assert locator.causes([camera]) == []


def test_a_ring_cut_once_is_nothing_and_cut_twice_is_a_double_cut() -> None:
    plant = _ring()
    locator = Locator(Network(plant))
    network = locator.network
    assert network.losers.row(network.risk("route:R1")).tolist() == []
    broken = [network.risk("route:R1"), network.risk("route:R3")]
    lost = network.lost_subjects(broken).tolist()
    assert [network.subjects[n].key for n in lost] == [
        f"site:{name}{place}" for name in ("s1", "s2") for place in range(4)
    ]
    best = locator.locate(lost).best
    assert best is not None
    assert {best.elements[0], best.and_elements[0]} == {"route:R1", "route:R3"}
    assert locator.locate(lost).explained == tuple(lost)


def _ring() -> Plant:
    """POP, five switches and four sites at each; R0 … R5 close the ring."""
    plant = Plant()
    plant.add_type("2", 1, 2)
    names = ["POP", "s0", "s1", "s2", "s3", "s4"]
    places = [(name, 0.01 * n, 0.004 * (n % 3)) for n, name in enumerate(names)]
    for name, east, north in places:
        plant.add_node(name, "pop" if name == "POP" else "cabinet", 106.9 + east, 47.9 + north)
        plant.add_equipment(f"SW-{name}", name, "core" if name == "POP" else "switch", 8)
    for number, (here, there) in enumerate(zip(places, [*places[1:], places[0]], strict=True)):
        plant.add_route(f"R{number}", here[0], there[0])
        plant.add_cable(f"K{number}", "2", here[0], [f"R{number}"])
        plant.join("termination", f"SW-{here[0]}/1/front", f"K{number}/1/A")
        plant.join("termination", f"SW-{there[0]}/2/front", f"K{number}/1/B")
    for name in names[1:]:
        for place in range(4):
            plant.add_equipment(f"{name}{place}", name, "onu", 1)
            plant.patch(f"SW-{name}/{3 + place}/front", f"{name}{place}/1/front")
            plant.add_endpoint("site", f"{name}{place}", f"{name}{place}", homes=10)
    return plant


def test_what_nobody_can_judge_counts_neither_way_and_planned_work_needs_no_chance() -> None:
    locator = _city()
    network = locator.network
    trench = network.risk("trench:T-P0-N1")
    losers = network.losers.row(trench).tolist()
    told, silent = losers[: len(losers) // 4], losers[len(losers) // 4 :]
    best = locator.locate(told, unknown=silent).best
    assert best is not None
    assert best.misses == 0
    few = losers[:1]
    planned = locator.locate(few, unknown=losers[1:], planned=[trench]).best
    assert planned is not None
    assert planned.planned
    assert planned.score > 0


def test_an_otdr_distance_is_a_point_with_slack_and_cords_taken_off() -> None:
    plant = Plant()
    plant.add_node("POP", "pop", 106.90, 47.90)
    plant.add_node("M", "manhole", 106.91, 47.90)
    plant.add_node("E", "closure", 106.92, 47.90)
    plant.add_route("R1", "POP", "M", trench="T1")
    plant.add_route("R2", "M", "E", trench="T2")
    plant.add_type("12", 1, 12, helix=1.02)
    cable = plant.add_cable("K", "12", "POP", ["R1", "R2"], sheath_m=1600)
    plant.add_slack("K", "M", 60)
    plant.add_equipment("ODF", "POP", "odf", 2)
    plant.add_equipment("SW", "POP", "switch", 1)
    plant.patch("SW/1/front", "ODF/1/front", length_m=10)
    plant.join("termination", "ODF/1/back", "K/1/A")
    half = plant.routes["R1"].now.length_m / 2
    stretch = (1600 - 60) / cable.geographic_m
    place = point_at(plant, "SW/1/front", 10 + half * stretch * 1.02)
    assert place.unit == "trench:T1"
    assert between_m(place.point, (106.905, 47.90)) < 1
    at_coil = point_at(plant, "SW/1/front", 10 + (2 * half * stretch + 30) * 1.02)
    assert at_coil.node == "M"
    beyond = point_at(plant, "SW/1/front", 10 + (2.5 * half * stretch + 60) * 1.02)
    assert beyond.unit == "trench:T2"
    assert between_m(beyond.point, (106.9125, 47.90)) < 1
    assert point_at(plant, "SW/1/front", 5000).beyond_m > 3000


def _sor(distance_m: float = 1234.0, *, cut_at: int | None = None) -> bytes:
    """A SOR file of version 2 with one event, as the standard lays it out."""
    refraction = 1.468
    fixed = b"FxdParams\0" + struct.pack("<I2sHiiH", 0, b"mt", 13100, 0, 0, 1)
    fixed += struct.pack("<HIIIHIHIiiHhHHHH", 100, 500_000, 2, int(refraction * 100_000), 800, 1, 10,
                         100, 0, 0, 0, 0, 0, 0, 0, 0)  # fmt: skip
    fixed += b"ST" + struct.pack("<iiii", 0, 0, 0, 0)
    points = b"DataPts\0" + struct.pack("<IHIH", 2, 1, 2, 1000) + struct.pack("<HH", 10, 20)
    travel = round(distance_m * refraction / 299.792458 * 1000 / 0.1)
    event = struct.pack("<HIhhi8siiiii", 1, travel, 0, 200, 0, b"1E9999LS", 0, 0, 0, 0, 0) + b"\0"
    keys = b"KeyEvents\0" + struct.pack("<H", 1) + event + struct.pack("<iiiHii", 0, 0, 0, 0, 0, 0)
    blocks = [(b"FxdParams\0", fixed), (b"DataPts\0", points), (b"KeyEvents\0", keys)]
    entries = b"".join(name + struct.pack("<HI", 200, len(body)) for name, body in blocks)
    head = b"Map\0" + struct.pack("<HIH", 200, 12 + len(entries), len(blocks) + 1) + entries
    return (head + b"".join(body for _, body in blocks))[:cut_at]


def test_a_sor_file_gives_the_distance_of_the_strands_end() -> None:
    read = read_sor(_sor())
    assert read.end_m == pytest.approx(1234.0, abs=0.1)
    assert read.wavelength_nm == 1310.0
    assert read.events[0].end_of_strand


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.integers(0, 250).map(lambda n: _sor(cut_at=n))))
def test_a_broken_sor_file_is_one_clear_line(content: bytes) -> None:
    try:
        read_sor(content)
    except SorError as error:
        assert "\n" not in str(error)


def test_a_huge_or_changed_sor_file_is_refused() -> None:
    with pytest.raises(SorError, match="at most"):
        read_sor(bytes(5 << 20))
    with pytest.raises(SorError, match="expected 0 to"):
        read_sor(_sor(900_000))
    changed = bytearray(_sor())
    for place in range(len(changed)):
        changed[place] ^= 0xFF
        with contextlib.suppress(SorError):
            read_sor(bytes(changed))
        changed[place] ^= 0xFF
