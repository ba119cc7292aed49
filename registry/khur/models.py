"""The table of what KHUR answered, for as long as it may be believed."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from registry.sealed import Sealed, SealedText


class KhurAnswer(Base):
    """One answer, sealed. The key is a keyed hash of what was asked, so it tells nothing by itself."""

    __tablename__ = "khur_answer"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    #: found or unknown
    outcome: Mapped[str] = mapped_column(String(20))
    answer: Mapped[Sealed | None] = mapped_column(SealedText)
    asked_us: Mapped[int] = mapped_column(BigInteger)
    valid_until_us: Mapped[int] = mapped_column(BigInteger, index=True)
