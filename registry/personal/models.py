"""The table of retention: what a rule has let go since the audit was last told of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base


class RetentionTally(Base):
    """Counted in the transaction that lets rows go, so that an interruption loses no count."""

    __tablename__ = "retention_tally"
    rule: Mapped[str] = mapped_column(String(60), primary_key=True)
    gone: Mapped[int] = mapped_column(BigInteger)
    #: when the first of them went
    since_us: Mapped[int] = mapped_column(BigInteger)
