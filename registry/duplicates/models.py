"""The table of decisions about pairs that looked like duplicates."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base


class NotDuplicate(Base):
    """Somebody looked at two records and said that they are two. ``first_id`` < ``second_id``."""

    __tablename__ = "not_duplicate"
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    first_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    second_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(300), default="")
    decided_us: Mapped[int] = mapped_column(BigInteger)
