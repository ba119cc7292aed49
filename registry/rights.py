"""The one place that decides who may do what.

Cast: an ``Actor`` (who asks, with the roles granted to them), an action (a closed name), a ``Place``
(where the object of the action lies). ``require`` answers by returning or raising ``Forbidden`` with a
closed reason. Roles are data: ``ROLES`` says which actions each one has.

A grant may be bounded to an administrative unit (``1116`` reaches ``111651`` too) or an organisation.
A bounded grant reaches an object only when the object's own place says it lies inside, so whatever
forgets to name a place stays closed to bounded grants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

ActorKind = Literal["staff", "service", "household", "system", "open"]
Role = Literal[
    "administrator", "registrar", "approver", "technician", "duty", "auditor",
    "dispatch",  # a dispatch centre's own system
    "resident",  # a family on its own page; only a link to that page gives it
    "newcomer",  # signed in, but a role of theirs waits for their second factor
    "open",
]  # fmt: skip
Action = Literal[
    # what anybody may do before saying who they are
    "health.read", "session.open", "openapi.read", "page.read", "unit.read",
    "report.send",  # providers, known by their signatures and not by a session
    # what everybody signed in may do
    "me.read", "me.write", "session.close", "live.read",
    # the register
    "site.read", "site.write", "household.read", "household.write",
    "household.open",  # read the sealed fields: address, contacts
    "resident.export",  # everything held on a home or a person, as a file
    "resident.erase",  # take a home or a person out everywhere
    "detector.read", "detector.write", "model.read", "model.write",
    "field.work",  # the worklist, test alarms and pictures on the spot
    "organisation.read", "organisation.write",
    "organisation.open",  # read who answers there
    "camera.read", "camera.write",
    "camera.install", "camera.inspect",  # steps of its life on the spot
    "camera.open",  # read the user and password of its stream
    # works of the office
    "specification.read", "specification.write", "specification.comment",
    "specification.decide",  # take into review, return, reject, approve
    "server.read", "server.write",
    "licence.open",  # read a licence's key
    "inspection.read", "inspection.write",
    "finding.fix", "finding.verify",
    "request.send",  # anybody: say something to the city and read the answer by its code
    "request.read", "request.write",
    "request.open",  # read who said what
    "cost.read", "cost.write",
    "khur.ask",  # look up in the state's registers; each look-up with its reason
    "label.read", "label.print",
    "search.read", "view.write",  # saved lists of one's own
    "import.read", "import.write",  # a file's records need their own right too
    "register.export",
    "duplicate.read", "duplicate.decide",
    "fibre.read", "fibre.write",
    "fibre.work",  # announce planned work to the homes it affects, and end it
    "home.use",  # a family's own page: look, answer, change how one is reached
    # what happens
    "reading.read", "incident.read", "incident.acknowledge", "incident.resolve",
    "cap.read",  # messages for dispatch, which hold opened addresses
    "camera.health.read",
    "camera.evidence.read",  # small pictures of streets, with people in them
    # people, keys, running it
    "person.read", "person.write",
    "emergency.take",  # take a role for some minutes, with a reason that everybody in charge is told
    "token.read", "token.write", "audit.read",
    "metrics.read", "doctor.read",
]  # fmt: skip
ROLE_NAMES: Final[tuple[Role, ...]] = get_args(Role)
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
#: Roles that can be granted to somebody; ``open`` is everybody's, ``resident`` comes with a link,
#: ``newcomer`` stands in for roles that wait.
GRANTABLE: Final[tuple[Role, ...]] = tuple(
    role for role in ROLE_NAMES if role not in ("open", "resident", "newcomer")
)

_OPEN: Final[frozenset[Action]] = frozenset(
    {"health.read", "session.open", "openapi.read", "page.read", "unit.read", "report.send",
     "request.send"}
)  # fmt: skip
_SIGNED_IN: Final[frozenset[Action]] = _OPEN | {"me.read", "me.write", "session.close"}
_LOOK: Final[frozenset[Action]] = _SIGNED_IN | {
    "site.read", "household.read", "detector.read", "model.read",
    "reading.read", "incident.read", "live.read", "camera.health.read",
    "search.read", "view.write", "duplicate.read",
    "organisation.read", "camera.read",
    "specification.read", "server.read", "inspection.read", "request.read", "cost.read", "label.read",
    "fibre.read",
}  # fmt: skip

#: What each role may do. An administrator gives roles but does not read what is sealed by that alone.
ROLES: Final[dict[Role, frozenset[Action]]] = {
    "administrator": frozenset(ACTIONS) - {
        "household.open", "cap.read", "camera.evidence.read", "camera.open", "organisation.open",
        "licence.open", "request.open", "khur.ask", "home.use", "resident.export", "field.work",
    },
    "registrar": _LOOK | {
        "import.read", "import.write", "register.export", "duplicate.decide",
        "site.write", "household.write", "household.open", "detector.write", "model.write",
        "resident.export", "resident.erase",
        "organisation.write", "organisation.open", "camera.write", "camera.install", "camera.open",
        "specification.write", "specification.comment", "server.write", "inspection.write",
        "finding.fix", "finding.verify", "request.write", "request.open", "cost.write", "khur.ask",
        "label.print", "fibre.write", "fibre.work", "emergency.take",
    },
    "approver": _LOOK | {
        "camera.inspect", "organisation.open", "specification.comment", "specification.decide",
        "finding.verify", "emergency.take",
    },
    "technician": _LOOK | {
        "camera.evidence.read", "detector.write", "field.work", "metrics.read", "doctor.read",
        "camera.install", "camera.open",
        "specification.comment", "server.write", "licence.open", "finding.fix", "label.print",
        "fibre.write", "emergency.take",
    },
    "duty": _LOOK | {
        "camera.evidence.read",
        "household.open", "incident.acknowledge", "incident.resolve", "metrics.read", "doctor.read",
        "cap.read", "request.write", "request.open", "fibre.work", "emergency.take",
    },
    "auditor": _LOOK | {
        "person.read", "token.read", "audit.read", "metrics.read", "doctor.read",
        "inspection.write", "finding.verify", "import.read", "register.export",
    },
    "dispatch": _SIGNED_IN | {"cap.read"},
    "resident": _OPEN | {"home.use"},
    "newcomer": _SIGNED_IN,
    "open": _OPEN,
}  # fmt: skip

ForbiddenReason = Literal["not_signed_in", "no_role", "out_of_area"]


class Forbidden(Exception):
    """The actor may not do this. ``reason`` is closed: not_signed_in, no_role, out_of_area."""

    def __init__(self, reason: ForbiddenReason, action: Action) -> None:
        super().__init__(f"{action}: {reason}")
        self.reason: ForbiddenReason = reason
        self.action: Action = action


@dataclass(frozen=True)
class Grant:
    """A role, everywhere or inside one unit, organisation or household (inside all that are named)."""

    role: Role
    unit_code: str | None = None
    organisation_id: str | None = None
    household_id: str | None = None

    @property
    def bounded(self) -> bool:
        bounds = (self.unit_code, self.organisation_id, self.household_id)
        return any(bound is not None for bound in bounds)

    def reaches(self, place: Place) -> bool:
        """Whether an object at this place lies inside the grant's bounds."""
        if self.unit_code is not None and not (place.unit_code or "").startswith(self.unit_code):
            return False
        if self.household_id is not None and place.household_id != self.household_id:
            return False
        return self.organisation_id is None or place.organisation_id == self.organisation_id


@dataclass(frozen=True)
class Place:
    """Where an object lies. Unknown (None) lies outside every bound."""

    unit_code: str | None = None
    organisation_id: str | None = None
    household_id: str | None = None


@dataclass(frozen=True)
class Actor:
    """Who asks. ``id`` is opaque and goes to the audit; it is no login and no name."""

    id: str
    kind: ActorKind
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True)
class Reach:
    """Where an actor may do an action: everywhere, or in these units (codes and all below them).

    ``owners``: grants of one organisation, as (unit code or None, organisation id); only rows that
    lie with an organisation can be theirs.
    """

    everywhere: bool
    unit_codes: tuple[str, ...] = ()
    owners: tuple[tuple[str | None, str], ...] = ()


#: Nobody in particular: a visitor who has not said who they are.
ANYBODY: Final = Actor("anybody", "open", (Grant("open"),))
#: The program itself, and whoever sits at its console.
SYSTEM: Final = Actor("system", "system")
CONSOLE: Final = Actor("console", "system")
#: The place of an object that lies nowhere in particular: only unbounded grants reach it.
EVERYWHERE: Final = Place()


def require(actor: Actor, action: Action, object: Place | None = None) -> None:
    """Return if the actor may do the action to an object at this place, else raise ``Forbidden``.

    Without a place the question is whether they may do it everywhere.
    """
    if action not in ACTIONS:
        raise ValueError(f"no such action: {action!r}")
    if actor.kind == "system":
        return
    holding = _granting(actor, action)
    if not holding:
        raise Forbidden("not_signed_in" if actor.kind == "open" else "no_role", action)
    if not any(grant.reaches(object or EVERYWHERE) for grant in holding):
        raise Forbidden("out_of_area", action)


def require_somewhere(actor: Actor, action: Action) -> Reach:
    """Where the actor may do the action. Lists filter by it. Raises ``Forbidden`` if nowhere."""
    if actor.kind == "system":
        return Reach(everywhere=True)
    holding = _granting(actor, action)
    if not holding:
        raise Forbidden("not_signed_in" if actor.kind == "open" else "no_role", action)
    if any(not grant.bounded for grant in holding):
        return Reach(everywhere=True)
    by_unit = {g.unit_code for g in holding if g.unit_code is not None and g.organisation_id is None}
    owners = {(g.unit_code, g.organisation_id) for g in holding if g.organisation_id is not None}
    return Reach(
        everywhere=False,
        unit_codes=tuple(sorted(by_unit)),
        owners=tuple(sorted(owners, key=lambda owner: (owner[0] or "", owner[1]))),
    )


def may(actor: Actor, action: Action, object: Place | None = None) -> bool:
    """Whether ``require`` would return."""
    try:
        require(actor, action, object)
    except Forbidden:
        return False
    return True


def may_somewhere(actor: Actor, action: Action) -> bool:
    """Whether the actor may do the action to anything at all."""
    try:
        require_somewhere(actor, action)
    except Forbidden:
        return False
    return True


def check_roles(roles: Iterable[str]) -> tuple[Role, ...]:
    """The roles themselves. Raises ``ValueError`` that names the wrong one and what was expected."""
    checked = []
    for role in roles:
        if role not in GRANTABLE:
            raise ValueError(f"{role!r} is no role; expected one of {', '.join(GRANTABLE)}")
        checked.append(role)
    return tuple(dict.fromkeys(checked))


def _granting(actor: Actor, action: Action) -> list[Grant]:
    grants = [*actor.grants, Grant("open")] if actor.kind != "open" else list(actor.grants)
    return [grant for grant in grants if action in ROLES[grant.role]]
