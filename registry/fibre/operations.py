"""Changes of the plant as data: what a form, a file or a command wants, checked by the plant itself.

An operation names what it does in ``do``. A list of them is taken whole or not at all (``services``),
so that a cable and its splices come together, and a dry run is the same list on a plant that is thrown
away.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from edge.wire.identity import new_id
from registry.fibre.plant import Plant
from registry.fibre.values import CABLE_LIFE, STRAND_LIFE, CableStatus, PlantError, StrandState

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Key = Annotated[str, msgspec.Meta(min_length=5, max_length=140)]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Lon = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Lat = Annotated[float, msgspec.Meta(ge=-90, le=90)]
#: No cable is laid in longer pieces, and no line drawn with more points.
Metres = Annotated[float, msgspec.Meta(ge=0, le=200_000)]
Line = Annotated[list[tuple[Lon, Lat]], msgspec.Meta(min_length=2, max_length=5000)]
Loss = Annotated[float, msgspec.Meta(ge=-1, le=60)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
TimeUs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
#: Operations of one list; a city's first import comes in several.
MAX_OPERATIONS = 200_000


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """The base of all operations.

    Each has ``check(plant)``: do it in memory; raises ``PlantError`` and changes nothing then.
    """

    @property
    def at(self) -> str:
        """What it is about, for the audit and for errors."""
        return str(getattr(self, "id", None) or getattr(self, "cable", ""))


class AddNode(Operation, frozen=True, kw_only=True, tag="node"):
    id: Name
    kind: str
    lon: Lon
    lat: Lat
    name: Text = ""
    unit_code: Annotated[str, msgspec.Meta(pattern="^[0-9]{2,8}$")] | None = None

    def check(self, plant: Plant) -> None:
        plant.add_node(self.id, self.kind, self.lon, self.lat)  # type: ignore[arg-type]  # it checks


class AddRoute(Operation, frozen=True, kw_only=True, tag="route"):
    id: Name
    a: Name
    b: Name
    line: Line | None = None
    install: str = "ducted"
    trench: Name | None = None
    duct: Name | None = None
    contractor: Text = ""
    accepted_us: TimeUs | None = None

    def check(self, plant: Plant) -> None:
        plant.add_route(
            self.id, self.a, self.b, self.line, install=self.install,  # type: ignore[arg-type]
            trench=self.trench, duct=self.duct, contractor=self.contractor,
            accepted_us=self.accepted_us,
        )  # fmt: skip


class ReviseRoute(Operation, frozen=True, kw_only=True, tag="route_revision"):
    id: Name
    line: Line | None = None
    install: str = "ducted"
    trench: Name | None = None
    duct: Name | None = None
    contractor: Text = ""
    accepted_us: TimeUs | None = None
    note: Text = ""

    def check(self, plant: Plant) -> None:
        plant.revise_route(
            self.id, self.line, install=self.install, trench=self.trench,  # type: ignore[arg-type]
            duct=self.duct, contractor=self.contractor, accepted_us=self.accepted_us, note=self.note,
        )  # fmt: skip


class AddType(Operation, frozen=True, kw_only=True, tag="cable_type"):
    id: Name
    tubes: Count
    strands_per_tube: Count
    scheme: Name = "tia-598"
    helix: float = 1.0
    maker: Annotated[str, msgspec.Meta(max_length=100)] = ""

    def check(self, plant: Plant) -> None:
        plant.add_type(
            self.id, self.tubes, self.strands_per_tube, scheme=self.scheme, helix=self.helix,
            maker=self.maker,
        )  # fmt: skip


class AddCable(Operation, frozen=True, kw_only=True, tag="cable"):
    id: Name
    type: Name
    a: Name
    routes: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=5000)]
    sheath_m: Metres | None = None
    optical_m: Metres | None = None
    status: CableStatus = "planned"
    provider: Name | None = None

    def check(self, plant: Plant) -> None:
        plant.add_cable(
            self.id, self.type, self.a, self.routes, sheath_m=self.sheath_m, optical_m=self.optical_m,
            status=self.status, provider=self.provider,
        )  # fmt: skip


class CableStatusIs(Operation, frozen=True, kw_only=True, tag="cable_status"):
    cable: Name
    status: CableStatus

    def check(self, plant: Plant) -> None:
        cable = plant.cables.get(self.cable)
        if cable is None:
            raise PlantError("unknown", f"cable {self.cable}", "there is none of this name")
        if self.status not in CABLE_LIFE[cable.status]:
            raise PlantError(
                "bad_life", f"cable {self.cable}",
                f"{cable.status} cannot become {self.status}; "
                f"only {', '.join(sorted(CABLE_LIFE[cable.status])) or 'nothing'}",
            )  # fmt: skip
        strands = range(1, cable.type.strands + 1)
        if self.status == "removed" and any(
            plant.strand_state(cable.id, number) == "used" for number in strands
        ):
            raise PlantError(
                "in_use", f"cable {self.cable}", "strands of it are joined: part them first"
            )
        cable.status = self.status
        plant.version += 1


class AddEquipment(Operation, frozen=True, kw_only=True, tag="equipment"):
    id: Name
    node: Name
    kind: str
    ports: Count
    provider: Name | None = None

    def check(self, plant: Plant) -> None:
        plant.add_equipment(
            self.id, self.node, self.kind, self.ports, provider=self.provider  # type: ignore[arg-type]
        )  # fmt: skip


class AddTray(Operation, frozen=True, kw_only=True, tag="tray"):
    id: Name
    node: Name
    capacity: Count

    def check(self, plant: Plant) -> None:
        plant.add_tray(self.id, self.node, self.capacity)


class AddJoint(Operation, frozen=True, kw_only=True, tag="joint"):
    kind: Literal["splice", "patch", "termination"]
    a: Key
    b: Key
    id: Name | None = None
    tray: Name | None = None
    loss_db: Loss | None = None
    length_m: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0

    def check(self, plant: Plant) -> None:
        plant.join(
            self.kind, self.a, self.b, tray=self.tray, loss_db=self.loss_db, length_m=self.length_m,
            id=self.id,
        )  # fmt: skip


class Part(Operation, frozen=True, kw_only=True, tag="part"):
    """Undo a joint."""

    id: Name

    def check(self, plant: Plant) -> None:
        plant.part(plant.joint_named(self.id).ends[0])


class AddSlack(Operation, frozen=True, kw_only=True, tag="slack"):
    cable: Name
    node: Name
    length_m: Metres
    id: Name | None = None

    def check(self, plant: Plant) -> None:
        plant.add_slack(self.cable, self.node, self.length_m)


class AddEndpoint(Operation, frozen=True, kw_only=True, tag="endpoint"):
    kind: str
    ref: Name
    equipment: Name
    criticality: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    id: Name | None = None

    def check(self, plant: Plant) -> None:
        plant.add_endpoint(
            self.kind, self.ref, self.equipment, criticality=self.criticality  # type: ignore[arg-type]
        )  # fmt: skip


class StrandIs(Operation, frozen=True, kw_only=True, tag="strand"):
    """Reserve a strand, call it faulty, or free it."""

    cable: Name
    number: Count
    state: StrandState
    note: Text = ""

    def check(self, plant: Plant) -> None:
        before = plant.strand_state(self.cable, self.number)
        if self.state not in STRAND_LIFE[before]:
            raise PlantError(
                "bad_life", f"strand {self.cable}/{self.number}",
                f"{before} cannot become {self.state}; only {', '.join(sorted(STRAND_LIFE[before]))}",
            )  # fmt: skip
        plant.say_strand(self.cable, self.number, self.state)


AnyOperation = (
    AddNode | AddRoute | ReviseRoute | AddType | AddCable | CableStatusIs | AddEquipment | AddTray
    | AddJoint | Part | AddSlack | AddEndpoint | StrandIs
)  # fmt: skip


def named(operation: AnyOperation) -> AnyOperation:
    """The operation with an id of its own where it came without one."""
    if isinstance(operation, AddJoint | AddSlack | AddEndpoint) and operation.id is None:
        return msgspec.structs.replace(operation, id=new_id())
    return operation


class Problem(msgspec.Struct, frozen=True):
    """One operation that cannot be, by its place in the list (from 0)."""

    place: int
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"operation {self.place}: {self.detail}"


class ChangesRefused(Exception):
    """Some operations cannot be; none was taken."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} problems; the first: {problems[0]}")
        self.problems = problems


def operations_of(said: Any) -> list[AnyOperation]:
    """Operations from JSON-like data. Raises ``ChangesRefused``."""
    if not isinstance(said, list) or not 1 <= len(said) <= MAX_OPERATIONS:
        wanted = f"expected a list of 1 to {MAX_OPERATIONS} operations"
        raise ChangesRefused([Problem(0, "bad_form", wanted)])
    made, problems = list[AnyOperation](), list[Problem]()
    for place, each in enumerate(said):
        try:
            made.append(msgspec.convert(each, AnyOperation))
        except msgspec.ValidationError as error:
            problems.append(Problem(place, "bad_form", str(error)[:300]))
    if problems:
        raise ChangesRefused(problems)
    return made


def check_all(plant: Plant, operations: list[AnyOperation]) -> None:
    """Do all of them in memory. Raises ``ChangesRefused``; the plant is then to be thrown away."""
    problems = []
    for place, operation in enumerate(operations):
        try:
            operation.check(plant)
        except PlantError as error:
            problems.append(Problem(place, error.reason, str(error)))
    if problems:
        raise ChangesRefused(problems)
