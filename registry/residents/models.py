"""Tables of residents: links that open a household's page once, and the browsers they opened it on.

Only hashes of links and cookies are stored.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base


class HomeLink(Base):
    """A link to a household's page: used once, then or at ``expires_us`` worth nothing."""

    __tablename__ = "home_link"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    household_id: Mapped[str] = mapped_column(
        ForeignKey("household.id", ondelete="CASCADE"), index=True
    )
    #: whom it was sent to; NULL: made by the office for whoever is at home
    contact_id: Mapped[str | None] = mapped_column(ForeignKey("contact.id", ondelete="CASCADE"))
    created_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger, index=True)
    used_us: Mapped[int | None] = mapped_column(BigInteger)


class HomeSession(Base):
    """A browser that is at home in a household."""

    __tablename__ = "home_session"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    household_id: Mapped[str] = mapped_column(
        ForeignKey("household.id", ondelete="CASCADE"), index=True
    )
    contact_id: Mapped[str | None] = mapped_column(ForeignKey("contact.id", ondelete="CASCADE"))
    csrf: Mapped[str] = mapped_column(String(64))
    created_us: Mapped[int] = mapped_column(BigInteger)
    used_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger, index=True)


class HomeRequest(Base):
    """A request that was sent from a household's page, so that its answer is found there."""

    __tablename__ = "home_request"
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    household_id: Mapped[str] = mapped_column(
        ForeignKey("household.id", ondelete="CASCADE"), index=True
    )
    request_id: Mapped[str] = mapped_column(ForeignKey("city_request.id", ondelete="CASCADE"))
