"""Tables of technical specifications. Money is whole tögrög; days are the office's calendar days."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Versioned

_ID = String(64)


class Specification(Versioned, Base):
    """A technical specification (техникийн даалгавар). Immutable once approved, but for its end."""

    __tablename__ = "specification"
    EDITED: ClassVar[tuple[str, ...]] = (
        "number", "kind", "title", "purpose", "requirements", "budget_mnt", "funding_source",
        "organisation_id",
        "unit_code", "deliver_by", "decide_by", "state", "reviewer_id", "content_sha256", "code",
    )  # fmt: skip
    __table_args__ = (Index("ix_specification_state_due", "state", "decide_by"),)
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    title: Mapped[str] = mapped_column(String(300))
    purpose: Mapped[str] = mapped_column(Text, default="")
    #: ``[{"heading", "text", "source"}, …]`` in their order
    requirements: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    budget_mnt: Mapped[int | None] = mapped_column(BigInteger)
    funding_source: Mapped[str | None] = mapped_column(String(30))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    #: the day by which what it describes is to be built
    deliver_by: Mapped[date | None] = mapped_column(Date)
    #: the day by which whoever has it is to decide or send it on
    decide_by: Mapped[date | None] = mapped_column(Date)
    state: Mapped[str] = mapped_column(String(20), default="draft")
    #: who began it, and everybody who ever changed its content: none of them may approve it
    author_id: Mapped[str] = mapped_column(String(100), index=True)
    author_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    #: who took it into review
    reviewer_id: Mapped[str | None] = mapped_column(String(100), index=True)
    submitted_us: Mapped[int | None] = mapped_column(BigInteger)
    decided_us: Mapped[int | None] = mapped_column(BigInteger)
    decided_by: Mapped[str | None] = mapped_column(String(100))
    #: SHA-256 of the content that was approved, and the code printed on it
    content_sha256: Mapped[str | None] = mapped_column(String(64))
    code: Mapped[str | None] = mapped_column(String(20), unique=True)
    #: the approved one that this one is to take the place of
    supersedes_id: Mapped[str | None] = mapped_column(ForeignKey("specification.id"), index=True)
    created_us: Mapped[int] = mapped_column(BigInteger)


class SpecificationAttachment(Base):
    """A file kept with a specification: its bytes lie in the file store under their SHA-256."""

    __tablename__ = "specification_attachment"
    __table_args__ = (UniqueConstraint("specification_id", "sha256"),)
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    specification_id: Mapped[str] = mapped_column(ForeignKey("specification.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    added_by: Mapped[str] = mapped_column(String(100))
    added_us: Mapped[int] = mapped_column(BigInteger)


class SpecificationComment(Base):
    """What somebody said of it; append-only. ``action``: the step it explains, or None."""

    __tablename__ = "specification_comment"
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    specification_id: Mapped[str] = mapped_column(ForeignKey("specification.id"), index=True)
    by: Mapped[str] = mapped_column(String(100))
    at_us: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[str | None] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
