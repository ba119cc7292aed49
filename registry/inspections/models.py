"""Tables of inspections and their findings."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Date, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Versioned

_ID = String(64)


class Inspection(Versioned, Base):
    """Somebody went and looked (хяналт шалгалт): when, whom, at what, with which outcome."""

    __tablename__ = "inspection"
    EDITED: ClassVar[tuple[str, ...]] = (
        "title", "organisation_id", "unit_code", "held_on", "conclusion",
    )  # fmt: skip
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    title: Mapped[str] = mapped_column(String(300))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    held_on: Mapped[date] = mapped_column(Date, index=True)
    inspector_id: Mapped[str] = mapped_column(String(100))
    conclusion: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Finding(Versioned, Base):
    """What is wrong (зөрчил) with one record, how bad, by when it is to be right."""

    __tablename__ = "finding"
    EDITED: ClassVar[tuple[str, ...]] = (
        "severity", "text", "organisation_id", "due_on", "state", "fix", "refusal",
    )  # fmt: skip
    __table_args__ = (
        Index("ix_finding_object", "object_kind", "object_id"),
        Index("ix_finding_state_due", "state", "due_on"),
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    inspection_id: Mapped[str | None] = mapped_column(ForeignKey("inspection.id"), index=True)
    #: camera, server, detector, household, rack, software, site, organisation
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(String(64))
    #: the rule that suggested it (analogue_camera, short_retention), or None
    rule: Mapped[str | None] = mapped_column(String(40))
    #: low, medium, high, critical
    severity: Mapped[str] = mapped_column(String(10))
    text: Mapped[str] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    due_on: Mapped[date] = mapped_column(Date)
    #: open, fix_submitted, verified
    state: Mapped[str] = mapped_column(String(20), default="open")
    found_by: Mapped[str] = mapped_column(String(100))
    fix: Mapped[str | None] = mapped_column(Text)
    fixed_by: Mapped[str | None] = mapped_column(String(100))
    fixed_us: Mapped[int | None] = mapped_column(BigInteger)
    #: why the last fix was not enough
    refusal: Mapped[str | None] = mapped_column(Text)
    verified_by: Mapped[str | None] = mapped_column(String(100))
    verified_us: Mapped[int | None] = mapped_column(BigInteger)
    created_us: Mapped[int] = mapped_column(BigInteger)
