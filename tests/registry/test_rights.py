"""Who may do what: every role against every action, and how far a grant reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.rights import (
    ACTIONS,
    ANYBODY,
    GRANTABLE,
    ROLE_NAMES,
    ROLES,
    SYSTEM,
    Actor,
    Forbidden,
    Grant,
    Place,
    check_roles,
    may,
    may_somewhere,
    require,
    require_somewhere,
)

#: The whole decision written down a second time, by hand: a row an action, a letter a role.
#: A administrator, R registrar, P approver, T technician, D duty, U auditor, H resident, X dispatch,
#: N newcomer, O anybody.
MATRIX = {
    "health.read": "ARPTDUHXNO",
    "session.open": "ARPTDUHXNO",
    "openapi.read": "ARPTDUHXNO",
    "page.read": "ARPTDUHXNO",
    "unit.read": "ARPTDUHXNO",
    "me.read": "ARPTDUXN",
    "me.write": "ARPTDUXN",
    "emergency.take": "ARPTD",
    "session.close": "ARPTDUXN",
    "live.read": "ARPTDU",
    "site.read": "ARPTDU",
    "site.write": "AR",
    "household.read": "ARPTDU",
    "household.write": "AR",
    "household.open": "RD",
    "resident.export": "R",
    "resident.erase": "AR",
    "detector.read": "ARPTDU",
    "detector.write": "ART",
    "model.read": "ARPTDU",
    "model.write": "AR",
    "organisation.read": "ARPTDU",
    "organisation.write": "AR",
    "organisation.open": "RP",
    "camera.read": "ARPTDU",
    "camera.write": "AR",
    "camera.install": "ART",
    "camera.inspect": "AP",
    "camera.open": "RT",
    "specification.read": "ARPTDU",
    "specification.write": "AR",
    "specification.comment": "ARPT",
    "specification.decide": "AP",
    "server.read": "ARPTDU",
    "server.write": "ART",
    "licence.open": "T",
    "inspection.read": "ARPTDU",
    "inspection.write": "ARU",
    "finding.fix": "ART",
    "finding.verify": "ARPU",
    "request.send": "ARPTDUHXNO",
    "request.read": "ARPTDU",
    "request.write": "ARD",
    "request.open": "RD",
    "cost.read": "ARPTDU",
    "cost.write": "AR",
    "khur.ask": "R",
    "label.read": "ARPTDU",
    "label.print": "ART",
    "field.work": "T",
    "reading.read": "ARPTDU",
    "incident.read": "ARPTDU",
    "incident.acknowledge": "AD",
    "incident.resolve": "AD",
    "person.read": "AU",
    "person.write": "A",
    "token.read": "AU",
    "token.write": "A",
    "audit.read": "AU",
    "metrics.read": "ATDU",
    "doctor.read": "ATDU",
    "report.send": "ARPTDUHXNO",
    "search.read": "ARPTDU",
    "view.write": "ARPTDU",
    "import.read": "ARU",
    "import.write": "AR",
    "register.export": "ARU",
    "duplicate.read": "ARPTDU",
    "duplicate.decide": "AR",
    "fibre.read": "ARPTDU",
    "fibre.write": "ART",
    "fibre.work": "ARD",
    "cap.read": "DX",
    "camera.health.read": "ARPTDU",
    "camera.evidence.read": "TD",
    "home.use": "H",
}
LETTERS = {
    "administrator": "A", "registrar": "R", "approver": "P", "technician": "T", "duty": "D",
    "auditor": "U", "resident": "H", "dispatch": "X", "newcomer": "N",
    "open": "O",
}  # fmt: skip


def actor_with(*grants: Grant) -> Actor:
    return Actor("p1", "staff", grants)


def test_the_matrix_names_every_action_and_role() -> None:
    assert set(MATRIX) == set(ACTIONS)
    assert set(LETTERS) == set(ROLE_NAMES) == set(ROLES)


@pytest.mark.parametrize("role", ROLE_NAMES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_role_may_exactly_what_the_matrix_says(role, action) -> None:
    actor = ANYBODY if role == "open" else actor_with(Grant(role))
    allowed = LETTERS[role] in MATRIX[action]
    assert may(actor, action) is allowed
    if not allowed:
        with pytest.raises(Forbidden) as refused:
            require(actor, action)
        assert refused.value.reason == ("not_signed_in" if role == "open" else "no_role")


@pytest.mark.parametrize("action", ACTIONS)
def test_the_program_itself_may_everything(action) -> None:
    require(SYSTEM, action)


def test_somebody_without_a_role_may_what_anybody_may() -> None:
    nobody = Actor("p1", "staff")
    assert {action for action in ACTIONS if may(nobody, action)} == ROLES["open"]


@pytest.mark.parametrize(
    ("grant", "place", "reason"),
    [
        (Grant("registrar", "1116"), Place("111664"), None),
        (Grant("registrar", "1116"), Place("1116"), None),
        (Grant("registrar", "1116"), Place("1119"), "out_of_area"),
        (Grant("registrar", "111664"), Place("1116"), "out_of_area"),
        (Grant("registrar", "1116"), Place(None), "out_of_area"),
        (Grant("registrar", "1116"), None, "out_of_area"),
        (Grant("registrar", None, "school-1"), Place("1116", "school-1"), None),
        (Grant("registrar", None, "school-1"), Place("1116", "school-2"), "out_of_area"),
        (Grant("registrar", "1116", "school-1"), Place("1116", None), "out_of_area"),
        (Grant("approver", "1116"), Place("1116"), "no_role"),
    ],
)
def test_a_bounded_grant_reaches_only_what_says_it_lies_inside(grant, place, reason) -> None:
    actor = actor_with(grant)
    if reason is None:
        require(actor, "site.write", place)
        return
    with pytest.raises(Forbidden) as refused:
        require(actor, "site.write", place)
    assert refused.value.reason == reason


def test_a_list_reaches_the_units_of_the_grants_that_allow_it() -> None:
    grants = (Grant("registrar", "1116"), Grant("approver", "1119"), Grant("duty", "1125", "school"))
    actor = actor_with(*grants)
    assert require_somewhere(actor, "site.read").unit_codes == ("1116", "1119")
    assert require_somewhere(actor, "site.write").unit_codes == ("1116",)
    assert require_somewhere(actor_with(Grant("duty"), *grants), "site.read").everywhere
    assert not may_somewhere(actor, "person.write")


def test_an_unknown_action_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="no such action"):
        require(SYSTEM, "site.burn")  # type: ignore[arg-type]


def test_open_cannot_be_granted_and_roles_are_checked() -> None:
    assert check_roles(["duty", "duty", "auditor"]) == ("duty", "auditor")
    assert "open" not in GRANTABLE
    for wrong in ("open", "king", ""):
        with pytest.raises(ValueError, match="expected one of administrator"):
            check_roles([wrong])


_grants = st.builds(
    Grant,
    st.sampled_from(GRANTABLE),
    st.none() | st.sampled_from(["11", "1116", "111664", "1119"]),
    st.none() | st.sampled_from(["a", "b"]),
)
_places = st.builds(
    Place,
    st.none() | st.sampled_from(["11", "1116", "111664", "1119", "111951"]),
    st.none() | st.sampled_from(["a", "b"]),
)


@given(st.lists(_grants, max_size=4), _grants, _places, st.sampled_from(ACTIONS))
def test_one_more_grant_never_takes_a_right_away(grants, more, place, action) -> None:
    before = may(actor_with(*grants), action, place)
    assert may(actor_with(*grants, more), action, place) >= before


@given(st.lists(_grants, max_size=4), _places, st.sampled_from(ACTIONS))
def test_what_is_allowed_at_a_place_is_allowed_somewhere(grants, place, action) -> None:
    actor = actor_with(*grants)
    if may(actor, action, place):
        assert may_somewhere(actor, action)
