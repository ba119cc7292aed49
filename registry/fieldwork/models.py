"""Tables of the technician's work: trials, commissionings, pictures, acts done once, local pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.sealed import Sealed, SealedText

_ID = String(64)


class Trial(Base):
    """A test alarm of one detector that only the technician is told of. It ends at ``until_us``."""

    __tablename__ = "trial"
    __table_args__ = (Index("ix_trial_detector", "detector_id", "until_us"),)
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    detector_id: Mapped[str] = mapped_column(ForeignKey("detector.id", ondelete="CASCADE"))
    site_id: Mapped[str] = mapped_column(String(63))
    #: who stands there (an actor's opaque id)
    actor: Mapped[str] = mapped_column(String(100))
    started_us: Mapped[int] = mapped_column(BigInteger)
    #: it is over then, whatever happens
    until_us: Mapped[int] = mapped_column(BigInteger)
    #: somebody ended it before its time
    ended_us: Mapped[int | None] = mapped_column(BigInteger)
    #: the order to the site; its answer says whether the site has begun
    command_id: Mapped[str] = mapped_column(_ID, unique=True)
    confirmed_us: Mapped[int | None] = mapped_column(BigInteger)
    #: why the site refused
    refused: Mapped[str | None] = mapped_column(String(200))
    #: when the test alarm was at the city, and which alarm it is
    heard_us: Mapped[int | None] = mapped_column(BigInteger)
    alarm_id: Mapped[str | None] = mapped_column(_ID)
    kind: Mapped[str | None] = mapped_column(String(30))


class FieldPicture(Base):
    """A picture taken on the spot: inside a home, so its content is sealed (base64 of a JPEG)."""

    __tablename__ = "field_picture"
    #: minted by the phone, so that a picture sent twice is one
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    actor: Mapped[str] = mapped_column(String(100))
    detector_id: Mapped[str | None] = mapped_column(_ID, index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(Integer)
    content: Mapped[Sealed] = mapped_column(SealedText)
    received_us: Mapped[int] = mapped_column(BigInteger)


class Commissioning(Base):
    """What was checked when a detector was put into service, by whom and when."""

    __tablename__ = "commissioning"
    id: Mapped[str] = mapped_column(_ID, primary_key=True, default=new_id)
    detector_id: Mapped[str] = mapped_column(ForeignKey("detector.id", ondelete="CASCADE"), index=True)
    actor: Mapped[str] = mapped_column(String(100))
    #: when it was done, by the phone's clock (bounded), and when the city learnt of it
    done_us: Mapped[int] = mapped_column(BigInteger)
    received_us: Mapped[int] = mapped_column(BigInteger)
    #: place, signal, battery, siren_heard, household_confirmed
    checks: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    picture_id: Mapped[str | None] = mapped_column(ForeignKey("field_picture.id"))
    #: the test alarm that proved it, if one was made
    trial_id: Mapped[str | None] = mapped_column(ForeignKey("trial.id"))


class FieldAct(Base):
    """An act that was carried out, by the key its phone gave it: sent again, it is answered again."""

    __tablename__ = "field_act"
    key: Mapped[str] = mapped_column(_ID, primary_key=True)
    actor: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(30))
    detector_id: Mapped[str] = mapped_column(_ID, index=True)
    #: of what was asked: the same key for something else is refused
    digest: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    carried_out_us: Mapped[int] = mapped_column(BigInteger)


class LocalPage(Base):
    """Where a site serves its read-only page on its own network, and the secret of its keys."""

    __tablename__ = "local_page"
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    #: http://host:port as a phone in the home reaches it
    address: Mapped[str] = mapped_column(String(200))
    secret: Mapped[Sealed] = mapped_column(SealedText)
    made_us: Mapped[int] = mapped_column(BigInteger)
