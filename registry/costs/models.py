"""The table of what links cost."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Date, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Removable, Versioned


class LinkCost(Versioned, Removable, Base):
    """What one link costs a month, from a day to a day (both included; None: until further notice)."""

    __tablename__ = "link_cost"
    EDITED: ClassVar[tuple[str, ...]] = (
        "link", "organisation_id", "provider", "contract", "monthly_mnt", "from_on", "until_on",
        "note", "gone_us",
    )  # fmt: skip
    __table_args__ = (Index("ix_link_cost_period", "from_on", "until_on"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    #: what the link is called elsewhere: a fibre service's id, a contract's line
    link: Mapped[str] = mapped_column(String(100), index=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"), index=True)
    provider: Mapped[str] = mapped_column(String(200))
    contract: Mapped[str] = mapped_column(String(100), default="")
    #: whole tögrög a month
    monthly_mnt: Mapped[int] = mapped_column(BigInteger)
    from_on: Mapped[date] = mapped_column(Date)
    until_on: Mapped[date | None] = mapped_column(Date)
    note: Mapped[str] = mapped_column(Text, default="")
    created_us: Mapped[int] = mapped_column(BigInteger)
