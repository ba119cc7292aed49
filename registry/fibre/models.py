"""The tables of the fibre plant. Ids are the office's own names where it has them; times are µs UTC.

What is built: nodes, routes (with revisions that are only added to), cables along routes, equipment
with ports, trays. What joins it: a joint has two ends, and an end's key is a primary key, so every
strand end and port is in use once by the database's own promise. What it is for: endpoints and
services. What becomes of it: anomalies, planned works, outages.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Versioned

#: Names of plant elements, as they stand on labels in the street.
_NAME = String(64)


def _name() -> Mapped[str]:
    return mapped_column(_NAME, primary_key=True, default=new_id)


class FibreNode(Versioned, Base):
    """A place of the plant: building, POP, pole, manhole, closure, ODF room, splitter cabinet."""

    __tablename__ = "fibre_node"
    EDITED: ClassVar[tuple[str, ...]] = ("kind", "name", "lat", "lon", "unit_code")
    id: Mapped[str] = _name()
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200), default="")
    lat: Mapped[float] = mapped_column(Float)
    lon: Mapped[float] = mapped_column(Float)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    created_us: Mapped[int] = mapped_column(BigInteger)


class FibreRoute(Base):
    """Where cables run between two nodes. ``trench``: what one dig cuts together (shared risk)."""

    __tablename__ = "fibre_route"
    id: Mapped[str] = _name()
    a_node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    b_node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    trench: Mapped[str | None] = mapped_column(String(100), index=True)
    #: the number of its newest revision
    revision: Mapped[int] = mapped_column(Integer, default=1)


class FibreRouteRevision(Base):
    """How a route was built or rebuilt; never changed, only added to."""

    __tablename__ = "fibre_route_revision"
    __table_args__ = (UniqueConstraint("route_id", "number"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    route_id: Mapped[str] = mapped_column(ForeignKey("fibre_route.id"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    #: [[lon, lat], …] from the a node to the b node
    line: Mapped[list[Any]] = mapped_column(JSON)
    #: trenched | ducted | aerial | wall | indoor
    install: Mapped[str] = mapped_column(String(20))
    trench: Mapped[str | None] = mapped_column(String(100))
    duct: Mapped[str | None] = mapped_column(String(100))
    length_m: Mapped[float] = mapped_column(Float)
    contractor: Mapped[str] = mapped_column(String(200), default="")
    accepted_us: Mapped[int | None] = mapped_column(BigInteger)
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(100))
    note: Mapped[str] = mapped_column(String(500), default="")


class FibreCableType(Base):
    """A make of cable: tubes, strands in each, colours, and light's way beside the sheath's."""

    __tablename__ = "fibre_cable_type"
    id: Mapped[str] = _name()
    maker: Mapped[str] = mapped_column(String(100), default="")
    tubes: Mapped[int] = mapped_column(Integer)
    strands_per_tube: Mapped[int] = mapped_column(Integer)
    scheme: Mapped[str] = mapped_column(String(40), default="tia-598")
    #: metres of strand in a metre of sheath (strands lie in a helix)
    helix: Mapped[float] = mapped_column(Float, default=1.0)


class FibreCable(Versioned, Base):
    """A cable from node to node. ``status``: planned, built, accepted, active, damaged, removed."""

    __tablename__ = "fibre_cable"
    EDITED: ClassVar[tuple[str, ...]] = ("status", "provider_id", "sheath_length_m", "optical_length_m")
    id: Mapped[str] = _name()
    type_id: Mapped[str] = mapped_column(ForeignKey("fibre_cable_type.id"))
    a_node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    b_node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    status: Mapped[str] = mapped_column(String(20), default="planned")
    #: whose it is: an organisation of the register
    provider_id: Mapped[str | None] = mapped_column(String(64), index=True)
    sheath_length_m: Mapped[float] = mapped_column(Float)
    #: measured with an OTDR; NULL: the sheath's times the type's helix
    optical_length_m: Mapped[float | None] = mapped_column(Float)
    created_us: Mapped[int] = mapped_column(BigInteger)


class FibreCableRoute(Base):
    """The routes a cable lies in, in their order from its a end."""

    __tablename__ = "fibre_cable_route"
    cable_id: Mapped[str] = mapped_column(
        ForeignKey("fibre_cable.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    route_id: Mapped[str] = mapped_column(ForeignKey("fibre_route.id"), index=True)


class FibreStrand(Base):
    """What somebody has said of a strand; one without a row is free until it is joined."""

    __tablename__ = "fibre_strand"
    cable_id: Mapped[str] = mapped_column(
        ForeignKey("fibre_cable.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    #: free | reserved | used | faulty
    state: Mapped[str] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(String(200), default="")


class FibreEquipment(Versioned, Base):
    """What has ports: odf, splitter, olt, switch, onu, converter, core."""

    __tablename__ = "fibre_equipment"
    EDITED: ClassVar[tuple[str, ...]] = ("kind", "ports", "provider_id")
    id: Mapped[str] = _name()
    node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    ports: Mapped[int] = mapped_column(Integer)
    provider_id: Mapped[str | None] = mapped_column(String(64), index=True)


class FibreTray(Base):
    """A splice tray of a node."""

    __tablename__ = "fibre_tray"
    id: Mapped[str] = _name()
    node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    capacity: Mapped[int] = mapped_column(Integer)


class FibreJoint(Base):
    """Two ends joined: splice, patch cord, or a strand on a port."""

    __tablename__ = "fibre_joint"
    id: Mapped[str] = _name()
    #: splice | patch | termination
    kind: Mapped[str] = mapped_column(String(20))
    node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"), index=True)
    tray_id: Mapped[str | None] = mapped_column(ForeignKey("fibre_tray.id"), index=True)
    #: measured; NULL: the city's default
    loss_db: Mapped[float | None] = mapped_column(Float)
    #: of a patch cord
    length_m: Mapped[float] = mapped_column(Float, default=0.0)


class FibreJointEnd(Base):
    """One end in use, by its key, such as ``C12/47/A`` or ``ODF1/3/back``: once in all the plant."""

    __tablename__ = "fibre_joint_end"
    end_key: Mapped[str] = mapped_column(String(140), primary_key=True)
    joint_id: Mapped[str] = mapped_column(ForeignKey("fibre_joint.id", ondelete="CASCADE"), index=True)
    side: Mapped[int] = mapped_column(Integer)


class FibreSlack(Base):
    """Cable coiled up at a place: in the sheath's length, not in the route's."""

    __tablename__ = "fibre_slack"
    id: Mapped[str] = _name()
    cable_id: Mapped[str] = mapped_column(ForeignKey("fibre_cable.id", ondelete="CASCADE"), index=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("fibre_node.id"))
    length_m: Mapped[float] = mapped_column(Float)


class FibreEndpoint(Base):
    """Who hangs on a piece of equipment: an organisation, a camera, a site, a POP."""

    __tablename__ = "fibre_endpoint"
    __table_args__ = (UniqueConstraint("kind", "ref", "equipment_id"),)
    id: Mapped[str] = _name()
    #: organisation | camera | site | pop
    kind: Mapped[str] = mapped_column(String(20))
    #: its id in its own part of the register
    ref: Mapped[str] = mapped_column(String(64), index=True)
    equipment_id: Mapped[str] = mapped_column(ForeignKey("fibre_equipment.id"), index=True)
    #: 1 hospitals and the like, 2 schools, 3 everything else
    criticality: Mapped[int] = mapped_column(Integer, default=3)


class FibreService(Versioned, Base):
    """Light from A to Z, and what it costs. ``status``: planned, active, faulty, ended."""

    __tablename__ = "fibre_service"
    EDITED: ClassVar[tuple[str, ...]] = (
        "status",
        "wavelength_nm",
        "target_loss_db",
        "measured_loss_db",
        "monthly_cost_mnt",
        "provider_id",
        "organisation_id",
    )
    id: Mapped[str] = _name()
    status: Mapped[str] = mapped_column(String(20), default="planned")
    a_end: Mapped[str] = mapped_column(String(140))
    z_end: Mapped[str] = mapped_column(String(140))
    wavelength_nm: Mapped[int] = mapped_column(Integer, default=1550)
    target_loss_db: Mapped[float] = mapped_column(Float)
    calculated_loss_db: Mapped[float | None] = mapped_column(Float)
    measured_loss_db: Mapped[float | None] = mapped_column(Float)
    monthly_cost_mnt: Mapped[int | None] = mapped_column(BigInteger)
    provider_id: Mapped[str | None] = mapped_column(String(64), index=True)
    organisation_id: Mapped[str | None] = mapped_column(String(64), index=True)
    #: traced as of this version of the plant
    plant_version: Mapped[int] = mapped_column(Integer, default=0)


class FibreServiceHop(Base):
    """A service's way, hop by hop from A to Z."""

    __tablename__ = "fibre_service_hop"
    service_id: Mapped[str] = mapped_column(
        ForeignKey("fibre_service.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    #: strand | splice | patch | termination | port | splitter
    kind: Mapped[str] = mapped_column(String(20))
    ref: Mapped[str] = mapped_column(String(140), index=True)


class FibreAnomaly(Base):
    """Something in the plant that cannot be: a loop, a dangling end, too many connections."""

    __tablename__ = "fibre_anomaly"
    __table_args__ = (UniqueConstraint("kind", "at"),)
    id: Mapped[str] = _name()
    kind: Mapped[str] = mapped_column(String(40))
    at: Mapped[str] = mapped_column(String(140))
    detail: Mapped[str] = mapped_column(String(500))
    found_us: Mapped[int] = mapped_column(BigInteger)
    cleared_us: Mapped[int | None] = mapped_column(BigInteger)


class FibreWork(Versioned, Base):
    """Planned work on the plant. ``status``: planned, announced, done, cancelled."""

    __tablename__ = "fibre_work"
    __table_args__ = (Index("ix_fibre_work_time", "status", "starts_us", "ends_us"),)
    EDITED: ClassVar[tuple[str, ...]] = ("title", "elements", "starts_us", "ends_us", "status")
    id: Mapped[str] = _name()
    title: Mapped[str] = mapped_column(String(200))
    #: element names, such as ``trench:T1``
    elements: Mapped[list[str]] = mapped_column(JSON)
    starts_us: Mapped[int] = mapped_column(BigInteger)
    ends_us: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(20), default="planned")
    announced_us: Mapped[int | None] = mapped_column(BigInteger)
    created_us: Mapped[int] = mapped_column(BigInteger)


class FibreOutage(Base):
    """What the losses of cameras and sites were traced to, while they last."""

    __tablename__ = "fibre_outage"
    id: Mapped[str] = _name()
    #: the incident that tells of it (``alerts`` owns it); NULL under planned work
    incident_id: Mapped[str | None] = mapped_column(String(64), index=True)
    work_id: Mapped[str | None] = mapped_column(ForeignKey("fibre_work.id"))
    #: the element held for the cause, such as ``trench:T1``
    cause: Mapped[str] = mapped_column(String(140))
    confidence: Mapped[float] = mapped_column(Float)
    #: what was found: suspects, point, cameras, sites, homes
    findings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    opened_us: Mapped[int] = mapped_column(BigInteger, index=True)
    closed_us: Mapped[int | None] = mapped_column(BigInteger)


class FibreLossDefault(Versioned, Base):
    """A loss the city reckons with where nothing was measured, and where the figure comes from."""

    __tablename__ = "fibre_loss_default"
    EDITED: ClassVar[tuple[str, ...]] = ("value", "source")
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[float] = mapped_column(Float)
    source: Mapped[str] = mapped_column(String(300))
