"""The closed words of the fibre plant, its lives as tables, and why a plant can be refused."""

from __future__ import annotations

from typing import Final, Literal, get_args

NodeKind = Literal["building", "pop", "pole", "manhole", "closure", "odf", "cabinet"]
Install = Literal["trenched", "ducted", "aerial", "wall", "indoor"]
EquipmentKind = Literal["odf", "splitter", "olt", "switch", "onu", "converter", "core"]
JointKind = Literal["splice", "patch", "termination"]
EndpointKind = Literal["organisation", "camera", "site", "pop"]
CableStatus = Literal["planned", "built", "accepted", "active", "damaged", "removed"]
StrandState = Literal["free", "reserved", "used", "faulty"]
ServiceStatus = Literal["planned", "active", "faulty", "ended"]
WorkStatus = Literal["planned", "announced", "done", "cancelled"]

NODE_KINDS: Final[tuple[NodeKind, ...]] = get_args(NodeKind)
INSTALLS: Final[tuple[Install, ...]] = get_args(Install)
EQUIPMENT_KINDS: Final[tuple[EquipmentKind, ...]] = get_args(EquipmentKind)
JOINT_KINDS: Final[tuple[JointKind, ...]] = get_args(JointKind)
ENDPOINT_KINDS: Final[tuple[EndpointKind, ...]] = get_args(EndpointKind)
CABLE_STATUSES: Final[tuple[CableStatus, ...]] = get_args(CableStatus)
STRAND_STATES: Final[tuple[StrandState, ...]] = get_args(StrandState)

#: From → to. A damaged cable is active again after its repair.
CABLE_LIFE: Final[dict[CableStatus, frozenset[CableStatus]]] = {
    "planned": frozenset({"built", "removed"}),
    "built": frozenset({"accepted", "removed"}),
    "accepted": frozenset({"active", "removed"}),
    "active": frozenset({"damaged", "removed"}),
    "damaged": frozenset({"active", "removed"}),
    "removed": frozenset(),
}
#: By hand; ``used`` comes and goes with what joins the strand.
STRAND_LIFE: Final[dict[StrandState, frozenset[StrandState]]] = {
    "free": frozenset({"reserved", "faulty"}),
    "reserved": frozenset({"free", "faulty"}),
    "used": frozenset({"faulty"}),
    "faulty": frozenset({"free"}),
}
SERVICE_LIFE: Final[dict[ServiceStatus, frozenset[ServiceStatus]]] = {
    "planned": frozenset({"active", "ended"}),
    "active": frozenset({"faulty", "ended"}),
    "faulty": frozenset({"active", "ended"}),
    "ended": frozenset(),
}
WORK_LIFE: Final[dict[WorkStatus, frozenset[WorkStatus]]] = {
    "planned": frozenset({"announced", "cancelled"}),
    "announced": frozenset({"done", "cancelled"}),
    "done": frozenset(),
    "cancelled": frozenset(),
}

Refusal = Literal[
    "bad_name", "name_taken", "unknown", "wrong_kind", "bad_place", "bad_number",
    "joined_to_itself", "end_in_use", "port_in_use", "tray_full", "tray_elsewhere", "elsewhere",
    "strand_faulty", "too_short", "routes_do_not_meet", "line_does_not_meet", "in_use", "bad_life",
]  # fmt: skip


class PlantError(ValueError):
    """A plant that cannot be. ``reason`` is closed; ``element`` names what is refused."""

    def __init__(self, reason: Refusal, element: str, detail: str) -> None:
        super().__init__(f"{element}: {detail}")
        self.reason: Refusal = reason
        self.element = element
        self.detail = detail
