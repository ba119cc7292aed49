"""The plant in memory: what can be, what cannot, how light goes, and what it loses."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.fibre.allocate import free_way
from registry.fibre.budget import Losses, Sourced, budget, judge, loss_db
from registry.fibre.colours import colours_of
from registry.fibre.drawing import svg_of
from registry.fibre.geometry import between_m
from registry.fibre.operations import ChangesRefused, check_all, operations_of
from registry.fibre.plant import Plant
from registry.fibre.sheets import splice_plan
from registry.fibre.trace import anomalies, trace
from registry.fibre.values import CABLE_LIFE, CABLE_STATUSES, PlantError
from registry.printing.typeset import pdf


def _plant() -> Plant:
    """A POP, a closure and a home, a cable between each, a splitter in the closure."""
    plant = Plant()
    plant.add_node("POP", "pop", 106.90, 47.90)
    plant.add_node("CL", "closure", 106.91, 47.90)
    plant.add_node("HOME", "building", 106.92, 47.90)
    plant.add_route("R1", "POP", "CL", trench="T1")
    plant.add_route("R2", "CL", "HOME")
    plant.add_type("48", 4, 12)
    plant.add_cable("K1", "48", "POP", ["R1"], sheath_m=800)
    plant.add_cable("K2", "48", "CL", ["R2"])
    plant.add_equipment("OLT", "POP", "olt", 4)
    plant.add_equipment("ODF", "POP", "odf", 48)
    plant.add_equipment("S", "CL", "splitter", 32)
    plant.add_equipment("ONU", "HOME", "onu", 1)
    plant.add_tray("TR", "CL", 2)
    return plant


def _lit() -> Plant:
    plant = _plant()
    plant.patch("OLT/1/front", "ODF/1/front", length_m=3)
    plant.join("termination", "ODF/1/back", "K1/47/A")
    plant.splice("K1/47/B", "S/0/front", tray="TR")
    plant.splice("S/5/front", "K2/1/A", tray="TR", loss_db=0.4)
    plant.join("termination", "K2/1/B", "ONU/1/front")
    return plant


@pytest.mark.parametrize(
    ("number", "tube", "strand"),
    [(1, "blue", "blue"), (12, "blue", "aqua"), (13, "orange", "blue"), (47, "brown", "rose")],
)
def test_strands_have_the_colours_of_the_standard(number: int, tube: str, strand: str) -> None:
    found = colours_of(number)
    assert (found.tube_colour, found.strand_colour) == (tube, strand)


def test_other_schemes_are_data_and_a_second_lap_bears_a_mark() -> None:
    assert colours_of(12, scheme="gb-6995").strand_colour == "cyan"
    assert colours_of(13, strands_per_tube=24).strand_colour == "blue-2"
    with pytest.raises(ValueError, match="expected one of din-0888"):
        colours_of(1, scheme="rainbow")


def test_the_budget_of_the_worked_example_is_23_37_db() -> None:
    found = loss_db(length_m=8200, splices=14, connectors=4, splitters=[32], wavelength_nm=1310)
    assert found == pytest.approx(23.37)


@pytest.mark.parametrize(
    ("outputs", "expected"), [(2, 3.7), (4, 7.3), (8, 10.5), (16, 13.7), (32, 17.1), (64, 20.5)]
)
def test_splitters_lose_what_their_data_sheets_say(outputs: int, expected: float) -> None:
    assert Losses().splitter_db(outputs) == expected


@pytest.mark.parametrize(
    ("loss", "verdict"), [(25.0, "ok"), (25.01, "tight"), (28.0, "tight"), (28.01, "fails")]
)
def test_a_way_is_ok_with_its_margin_tight_within_it_and_fails_beyond(
    loss: float, verdict: str
) -> None:
    assert judge(loss, 28.0, 3.0) == verdict


def test_a_failing_way_is_told_what_would_mend_it_the_most_first() -> None:
    found = budget(trace(_lit(), "ONU/1/front"), target_db=20.0)
    assert found.verdict == "tight"
    assert found.mends[0].kind == "smaller_splitter"
    assert found.mends[0].saves_db == pytest.approx(3.4)
    assert ("resplice", 0.3) in [(mend.kind, mend.saves_db) for mend in found.mends]


def test_the_citys_own_figure_replaces_a_default() -> None:
    way = trace(_lit(), "ONU/1/front")
    own = Losses({"connector_db": Sourced(0.2, "measured in 2026")})
    less = budget(way).loss_db - budget(way, losses=own).loss_db
    assert less == pytest.approx(0.3 * budget(way).connectors)


def test_a_trace_names_every_hop_with_colours_lengths_and_measured_losses() -> None:
    way = trace(_lit(), "ONU/1/front")
    assert [hop.kind for hop in way.hops] == [
        "device", "termination", "strand", "splice", "splitter", "splice", "strand", "termination",
        "port", "patch", "device",
    ]  # fmt: skip
    assert (way.a_stop, way.z_stop) == ("device", "device")
    strands = [hop for hop in way.hops if hop.kind == "strand"]
    assert [(hop.colours.tube_colour, hop.colours.strand_colour) for hop in strands if hop.colours] == [
        ("blue", "blue"), ("brown", "rose")
    ]  # fmt: skip
    assert strands[1].length_m == 800
    assert strands[1].geographic_m == pytest.approx(747.7, abs=0.1)
    assert way.hops[3].loss_db == 0.4


def test_a_trace_down_through_a_splitter_needs_to_know_where_to() -> None:
    plant = _lit()
    assert trace(plant, "OLT/1/front").z_stop == "splitter"
    down = trace(plant, "OLT/1/front", to="ONU/1/front")
    assert down.hops == trace(plant, "ONU/1/front").reversed().hops
    with pytest.raises(PlantError, match="does not reach"):
        trace(plant, "OLT/2/front", to="ONU/1/front")


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("K1/1/B", "K1/1/A", "joined_to_itself"),
        ("K1/1/B", "K1/1/B", "joined_to_itself"),
        ("K1/47/B", "K2/2/A", "end_in_use"),
        ("S/5/front", "K2/2/A", "port_in_use"),
        ("K1/1/A", "K2/2/A", "elsewhere"),
        ("K1/49/B", "K2/2/A", "bad_number"),
        ("K9/1/B", "K2/2/A", "unknown"),
        ("K1/1/front", "K2/2/A", "unknown"),
        ("K1", "K2/2/A", "bad_name"),
    ],
)
def test_impossible_splices_are_refused_with_the_reason(a: str, b: str, reason: str) -> None:
    plant = _lit()
    version = plant.version
    with pytest.raises(PlantError) as refused:
        plant.splice(a, b)
    assert refused.value.reason == reason
    assert plant.version == version


def test_a_tray_takes_no_more_splices_than_it_holds() -> None:
    plant = _lit()
    with pytest.raises(PlantError, match="tray TR holds 2 splices"):
        plant.splice("K1/1/B", "K2/2/A", tray="TR")
    plant.part("K1/47/B")
    plant.splice("K1/1/B", "K2/2/A", tray="TR")
    with pytest.raises(PlantError, match="is at CL, not at POP"):
        plant.splice("K1/2/A", "ODF/2/back", tray="TR")


def test_a_cable_is_not_shorter_than_its_route_nor_its_light_than_its_sheath() -> None:
    plant = _plant()
    with pytest.raises(PlantError, match=r"700\.0 m of sheath along 747\.7 m"):
        plant.add_cable("K3", "48", "POP", ["R1"], sheath_m=700)
    with pytest.raises(PlantError, match="of light in"):
        plant.add_cable("K3", "48", "POP", ["R1"], sheath_m=800, optical_m=790)
    with pytest.raises(PlantError, match="leave no 60"):
        plant.add_slack("K1", "CL", 60)
    plant.add_slack("K1", "CL", 50)
    with pytest.raises(PlantError, match="does not begin at POP"):
        plant.add_cable("K3", "48", "POP", ["R2"])


def test_a_route_keeps_its_revisions_and_no_cable_becomes_too_short() -> None:
    plant = _plant()
    plant.add_node("OTHER", "manhole", 106.905, 47.93)
    round_about = [(106.90, 47.90), (106.905, 47.93), (106.91, 47.90)]
    with pytest.raises(PlantError, match="does not reach along the new line"):
        plant.revise_route("R1", round_about, install="aerial", trench=None)
    plant.revise_route("R1", install="aerial", trench="T9", note="rebuilt on poles")
    assert [r.trench for r in plant.routes["R1"].revisions] == ["T1", "T9"]
    with pytest.raises(PlantError, match="m from POP"):
        plant.revise_route("R1", [(106.8, 47.9), (106.91, 47.9)], install="aerial", trench=None)


def test_a_loop_and_a_dangling_end_are_found_and_never_a_hang() -> None:
    plant = _plant()
    plant.add_route("R3", "POP", "CL")
    plant.add_cable("K3", "48", "POP", ["R3"])
    plant.splice("K1/3/A", "K3/3/A")
    plant.splice("K1/3/B", "K3/3/B")
    plant.splice("K1/4/B", "K2/4/A")
    plant.join("termination", "K1/5/A", "ODF/5/back")  # spare, terminated: no fault
    found = {(each.kind, each.at) for each in anomalies(plant)}
    assert found == {("loop", "K1/3/A"), ("dangling", "K1/4/A"), ("dangling", "K2/4/B")}
    assert trace(plant, "K1/3/A").z_stop == "loop"


def test_splitters_in_a_circle_end_as_a_loop() -> None:
    plant = _plant()
    plant.add_equipment("S2", "CL", "splitter", 2)
    plant.add_type("1", 1, 1)
    plant.add_node("CL2", "closure", 106.911, 47.90)
    plant.add_route("L", "CL", "CL2")
    for name in ("X", "Y"):
        plant.add_cable(name, "1", "CL", ["L"])
        plant.add_cable(f"{name}b", "1", "CL2", ["L"])
        plant.splice(f"{name}/1/B", f"{name}b/1/A")
    plant.splice("S/1/front", "X/1/A")
    plant.splice("Xb/1/B", "S2/0/front")
    plant.splice("S2/1/front", "Y/1/A")
    plant.splice("Yb/1/B", "S/0/front")
    assert {each.kind for each in anomalies(plant)} == {"loop"}
    assert trace(plant, "S/2/front").z_stop == "loop"


_chains = st.lists(st.sampled_from(["splice", "patch"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(_chains, st.integers(1, 24))
def test_a_trace_is_the_same_from_both_ends(joints: list[str], strand: int) -> None:
    plant = Plant()
    plant.add_type("24", 2, 12)
    plant.add_node("N0", "pop", 106.9, 47.9)
    plant.add_equipment("A", "N0", "switch", 1)
    plant.add_node("END", "building", 106.9, 47.95)
    before = "A/1/front"
    for number, kind in enumerate(joints):
        here, there = f"N{number}", f"N{number + 1}"
        plant.add_node(there, "closure", 106.9, 47.9 + 0.001 * (number + 1))
        plant.add_route(f"R{number}", here, there)
        a, b = (here, ("A", "B")) if number % 2 else (there, ("B", "A"))
        plant.add_cable(f"K{number}", "24", a, [f"R{number}"])
        near, far = (f"K{number}/{strand}/{side}" for side in b)
        if before.startswith("A/"):
            plant.join("termination", before, near)
        elif kind == "splice":
            plant.splice(before, near)
        else:
            plant.add_equipment(f"O{number}", here, "odf", 2)
            plant.join("termination", before, f"O{number}/1/back")
            plant.patch(f"O{number}/1/front", f"O{number}/2/front")
            plant.join("termination", f"O{number}/2/back", near)
        before = far
    plant.add_equipment("Z", f"N{len(joints)}", "onu", 1)
    plant.join("termination", before, "Z/1/front")
    out = trace(plant, "A/1/front")
    assert out.hops == trace(plant, "Z/1/front").reversed().hops
    inside = trace(plant, f"K0/{strand}/A").hops
    assert inside in (out.hops, out.reversed().hops)
    assert sum(hop.kind == "strand" for hop in out.hops) == len(joints)


def test_a_free_way_skips_strands_that_are_joined_reserved_or_faulty() -> None:
    plant = _lit()
    plant.say_strand("K1", 1, "reserved")
    plant.say_strand("K1", 2, "faulty")
    way = free_way(plant, "POP", "HOME")
    assert [(leg.cable, leg.strand) for leg in way.legs] == [("K1", 3), ("K2", 2)]
    assert way.budget.loss_db == pytest.approx(1.5477 * 0.35 + 3 * 0.1 + 2 * 0.5, abs=0.001)
    with pytest.raises(PlantError, match="K1/2/A is faulty"):
        plant.join("termination", "K1/2/A", "ODF/9/back")
    with pytest.raises(PlantError, match="node NOWHERE"):
        free_way(plant, "POP", "NOWHERE")


@pytest.mark.parametrize(("before", "after"), list(itertools.product(CABLE_STATUSES, repeat=2)))
def test_a_cables_life_goes_by_its_table(before: str, after: str) -> None:
    plant = _plant()
    plant.cables["K2"].status = before  # type: ignore[assignment]  # any of them
    steps = operations_of([{"do": "cable_status", "cable": "K2", "status": after}])
    if after in CABLE_LIFE[before]:  # type: ignore[index]
        check_all(plant, steps)
        assert plant.cables["K2"].status == after
    else:
        with pytest.raises(ChangesRefused, match=f"{before} cannot become {after}"):
            check_all(plant, steps)


def test_a_cable_in_use_is_not_removed_and_a_used_strand_not_reserved() -> None:
    plant = _lit()
    with pytest.raises(ChangesRefused, match="strands of it are joined"):
        check_all(plant, operations_of([{"do": "cable_status", "cable": "K1", "status": "removed"}]))
    with pytest.raises(ChangesRefused, match="used cannot become reserved"):
        check_all(
            plant, operations_of([{"do": "strand", "cable": "K1", "number": 47, "state": "reserved"}])
        )


def test_a_splice_plan_has_colours_and_prints_and_a_trace_is_drawn() -> None:
    plant = _lit()
    plan = splice_plan(plant, "CL")
    assert plan["joints"][0]["b"]["key"] == "S/0/front"
    assert (plan["joints"][0]["a"]["tube"], plan["joints"][0]["a"]["strand"]) == ("brown", "rose")
    assert plan["trays"] == [{"id": "TR", "capacity": 2, "used": 2}]
    assert pdf("splice_plan", plan, at_us=0).startswith(b"%PDF")
    drawing = svg_of(trace(plant, "ONU/1/front"))
    assert drawing.count("<rect") > 11
    assert "brown / rose" in drawing


def test_names_that_would_break_keys_are_refused() -> None:
    plant = _plant()
    for name in ("", "a/b", "trench:x", " a", "x" * 65, "a\nb"):
        with pytest.raises(PlantError):
            plant.add_node(name, "pole", 106.9, 47.9)
    with pytest.raises(PlantError, match="a cable or equipment is called so"):
        plant.add_equipment("K1", "CL", "onu", 1)
    with pytest.raises(PlantError, match="expected a longitude"):
        plant.add_node("X", "pole", 300.0, 47.9)


def test_lengths_are_those_of_the_ellipsoid() -> None:
    assert between_m((106.9, 47.9), (106.9, 47.91)) == pytest.approx(1111.9, abs=0.5)
