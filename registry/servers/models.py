"""Tables of what runs in the city's machine rooms: racks, servers, software, licences, maintenance."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Date, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Removable, Versioned
from registry.sealed import Sealed, SealedText

_ID = String(64)


def _only_one(name: str, *columns: str) -> Index:
    """Unique among the records that are still there."""
    held = text("gone_us IS NULL")
    return Index(name, *columns, unique=True, sqlite_where=held, postgresql_where=held)


def _id() -> Mapped[str]:
    return mapped_column(_ID, primary_key=True, default=new_id)


class Rack(Versioned, Removable, Base):
    """A rack and the room it stands in."""

    __tablename__ = "rack"
    __table_args__ = (_only_one("uq_rack_name", "name"),)
    EDITED: ClassVar[tuple[str, ...]] = (
        "name", "room", "unit_code", "organisation_id", "person_id", "height_u", "note", "gone_us",
    )  # fmt: skip
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(100))
    room: Mapped[str] = mapped_column(String(200), default="")
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    #: height units (44.45 mm)
    height_u: Mapped[int] = mapped_column(Integer, default=42)
    note: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Server(Versioned, Removable, Base):
    """A machine: where it stands, what it is for, who answers for it, until when it is supported."""

    __tablename__ = "server"
    EDITED: ClassVar[tuple[str, ...]] = (
        "name", "status", "rack_id", "position_u", "height_u", "maker", "model", "serial",
        "purpose", "unit_code", "organisation_id", "person_id", "specification_id", "bought_on",
        "support_until", "note", "gone_us",
    )  # fmt: skip
    __table_args__ = (
        _only_one("uq_server_name", "name"),
        _only_one("uq_server_maker_serial", "maker", "serial"),
        Index("ix_server_support", "support_until"),
    )
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(100))
    #: planned, active, faulty, retired
    status: Mapped[str] = mapped_column(String(20), default="active")
    rack_id: Mapped[str | None] = mapped_column(ForeignKey("rack.id"), index=True)
    #: the lowest unit it takes, from 1, and how many
    position_u: Mapped[int | None] = mapped_column(Integer)
    height_u: Mapped[int] = mapped_column(Integer, default=1)
    maker: Mapped[str] = mapped_column(String(100), default="")
    model: Mapped[str] = mapped_column(String(100), default="")
    serial: Mapped[str | None] = mapped_column(String(100))
    purpose: Mapped[str] = mapped_column(String(300), default="")
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    specification_id: Mapped[str | None] = mapped_column(ForeignKey("specification.id"))
    bought_on: Mapped[date | None] = mapped_column(Date)
    support_until: Mapped[date | None] = mapped_column(Date)
    note: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Licence(Versioned, Removable, Base):
    """A right to use software, for so many seats, until a day. Its key is sealed."""

    __tablename__ = "licence"
    EDITED: ClassVar[tuple[str, ...]] = (
        "name", "vendor", "contract", "seats", "key", "amount_mnt", "valid_from", "valid_until",
        "organisation_id", "person_id", "note", "gone_us",
    )  # fmt: skip
    __table_args__ = (_only_one("uq_licence_name", "name"), Index("ix_licence_until", "valid_until"))
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(200))
    vendor: Mapped[str] = mapped_column(String(200), default="")
    contract: Mapped[str] = mapped_column(String(100), default="")
    seats: Mapped[int | None] = mapped_column(Integer)
    key: Mapped[Sealed | None] = mapped_column(SealedText)
    amount_mnt: Mapped[int | None] = mapped_column(BigInteger)
    valid_from: Mapped[date | None] = mapped_column(Date)
    valid_until: Mapped[date | None] = mapped_column(Date)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    note: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Software(Versioned, Removable, Base):
    """A system that runs on a server: its release, its licence, who answers for it."""

    __tablename__ = "software"
    EDITED: ClassVar[tuple[str, ...]] = (
        "name", "maker", "release", "status", "server_id", "licence_id", "purpose",
        "organisation_id", "person_id", "support_until", "note", "gone_us",
    )  # fmt: skip
    __table_args__ = (
        _only_one("uq_software_server_name", "server_id", "name"),
        Index("ix_software_support", "support_until"),
    )
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(200), index=True)
    maker: Mapped[str] = mapped_column(String(100), default="")
    release: Mapped[str] = mapped_column(String(100), default="")
    #: planned, active, faulty, retired
    status: Mapped[str] = mapped_column(String(20), default="active")
    server_id: Mapped[str] = mapped_column(ForeignKey("server.id"), index=True)
    licence_id: Mapped[str | None] = mapped_column(ForeignKey("licence.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(300), default="")
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    support_until: Mapped[date | None] = mapped_column(Date)
    note: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Maintenance(Base):
    """One line of a log of work: written once, corrected by a further line, never changed."""

    __tablename__ = "maintenance"
    __table_args__ = (Index("ix_maintenance_object", "object_kind", "object_id", "done_us"),)
    id: Mapped[str] = _id()
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(String(64))
    #: installation, configuration, repair, security, check
    work: Mapped[str] = mapped_column(String(20))
    done: Mapped[str] = mapped_column(Text)
    done_us: Mapped[int] = mapped_column(BigInteger)
    recorded_us: Mapped[int] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(String(100))
    #: the line that this one corrects
    corrects_id: Mapped[str | None] = mapped_column(ForeignKey("maintenance.id"))
