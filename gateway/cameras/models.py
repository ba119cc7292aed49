"""The tables of camera health."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from registry.sealed import Sealed, SealedText


class CameraHealth(Base):
    """The last word of a camera's site about it. ``facts``: True, False or absent (not known)."""

    __tablename__ = "camera_health"
    __table_args__ = (Index("ix_camera_health_site_id_camera_id", "site_id", "camera_id"),)
    camera_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63))
    #: without credentials
    address: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str] = mapped_column(String(20), index=True)
    reachable: Mapped[bool | None] = mapped_column(Boolean)
    #: since when it is reachable, or is not (the edge's clock)
    reachable_since_us: Mapped[int | None] = mapped_column(BigInteger)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    reason: Mapped[str] = mapped_column(String(500), default="")
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: what the camera says of itself: maker, model, firmware, serial
    device: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    at_us: Mapped[int] = mapped_column(BigInteger)


class CameraEvidence(Base):
    """What a change of a camera's facts rests on: numbers, and two small pictures where there are any.

    The pictures are sealed: a street with people in it. The newest few of each camera are kept.
    """

    __tablename__ = "camera_evidence"
    __table_args__ = (
        UniqueConstraint("site_id", "epoch", "seq"),
        Index("ix_camera_evidence_camera_id_at_us", "camera_id", "at_us"),
    )
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    camera_id: Mapped[str] = mapped_column(String(64))
    site_id: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int] = mapped_column(BigInteger)
    at_us: Mapped[int] = mapped_column(BigInteger)
    transition: Mapped[str] = mapped_column(String(10))
    summary: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(500), default="")
    numbers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: JPEG in base64: a good picture of the same light, and the one that was judged
    reference: Mapped[Sealed | None] = mapped_column(SealedText)
    picture: Mapped[Sealed | None] = mapped_column(SealedText)
