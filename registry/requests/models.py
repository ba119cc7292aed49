"""Tables of complaints, suggestions and requests. What a person says and who they are is sealed."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Versioned
from registry.sealed import Sealed, SealedText


class CityRequest(Versioned, Base):
    """A complaint, suggestion or request (гомдол, санал, хүсэлт) and its answer."""

    __tablename__ = "city_request"
    EDITED: ClassVar[tuple[str, ...]] = (
        "number", "kind", "subject", "channel", "unit_code", "state", "due_on",
        "organisation_id", "answer", "satisfaction",
    )  # fmt: skip
    __table_args__ = (Index("ix_city_request_state_due", "state", "due_on"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    #: SHA-256 of the code the asker holds; the code itself is kept nowhere
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    #: complaint, suggestion, request
    kind: Mapped[str] = mapped_column(String(20), index=True)
    #: camera, detector, network, service, other
    subject: Mapped[str] = mapped_column(String(20))
    #: page, desk, phone, letter
    channel: Mapped[str] = mapped_column(String(20))
    text: Mapped[Sealed] = mapped_column(SealedText)
    name: Mapped[Sealed | None] = mapped_column(SealedText)
    contact: Mapped[Sealed | None] = mapped_column(SealedText)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    #: received, handed, answered, closed
    state: Mapped[str] = mapped_column(String(20), default="received")
    received_us: Mapped[int] = mapped_column(BigInteger, index=True)
    due_on: Mapped[date] = mapped_column(Date)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    handed_us: Mapped[int | None] = mapped_column(BigInteger)
    answer: Mapped[Sealed | None] = mapped_column(SealedText)
    answered_us: Mapped[int | None] = mapped_column(BigInteger)
    answered_by: Mapped[str | None] = mapped_column(String(100))
    #: 1 to 5, by whoever holds the code
    satisfaction: Mapped[int | None] = mapped_column(Integer)
    rated_us: Mapped[int | None] = mapped_column(BigInteger)
    #: when what was said and by whom was taken out
    erased_us: Mapped[int | None] = mapped_column(BigInteger)


class OpenDoorCount(Base):
    """How often an origin used an open door in a window. The origin is a keyed hash."""

    __tablename__ = "open_door_count"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    window_us: Mapped[int] = mapped_column(BigInteger, index=True)
    used: Mapped[int] = mapped_column(Integer)
