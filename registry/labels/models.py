"""The table of labels: which opaque id stands for which record."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base


class Label(Base):
    """An id as printed on a label. One that was lost or copied is void, and its record gets another."""

    __tablename__ = "label"
    __table_args__ = (Index("ix_label_object", "object_kind", "object_id"),)
    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(String(64))
    created_us: Mapped[int] = mapped_column(BigInteger)
    void_us: Mapped[int | None] = mapped_column(BigInteger)
