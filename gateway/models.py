"""The gateway's own tables: what it has heard, from whom, and what it could not use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base

_ID = String(64)


class SiteState(Base):
    """The last word of a site."""

    __tablename__ = "site_state"
    site_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    #: online | offline (its last will) | silent (no heartbeat in time)
    state: Mapped[str] = mapped_column(String(20))
    boot: Mapped[str | None] = mapped_column(_ID)
    epoch: Mapped[str | None] = mapped_column(_ID)
    heard_us: Mapped[int] = mapped_column(BigInteger)
    heartbeat: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: False since it said that its mains failed; NULL: it never spoke of it
    mains: Mapped[bool | None] = mapped_column(Boolean)


class SiteEpoch(Base):
    """Every spool epoch a site has had, in the order the city met them."""

    __tablename__ = "site_epoch"
    __table_args__ = (UniqueConstraint("site_id", "epoch"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(_ID)
    first_us: Mapped[int] = mapped_column(BigInteger)
    #: a snapshot under this epoch has closed what older epochs left open
    snapshot_us: Mapped[int | None] = mapped_column(BigInteger)
    #: the newest event of this epoch that was met: a spool that has fewer is an older copy
    newest_event: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class SiteNote(Base):
    """An event about a site itself (``spool_reset``, ``thinned``, …), once each."""

    __tablename__ = "site_note"
    __table_args__ = (UniqueConstraint("site_id", "epoch", "seq"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at_us: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(String(60))
    values: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class LatestReading(Base):
    """The newest reading of each detector, for both kinds of reading store."""

    __tablename__ = "latest_reading"
    detector_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63), index=True)
    time_us: Mapped[int] = mapped_column(BigInteger)
    flags: Mapped[int] = mapped_column(Integer, default=0)
    flags_known: Mapped[int] = mapped_column(Integer, default=0)
    co_ppm: Mapped[float | None] = mapped_column(Float)
    optical_density_db_m: Mapped[float | None] = mapped_column(Float)
    temperature_c: Mapped[float | None] = mapped_column(Float)
    humidity_pct: Mapped[float | None] = mapped_column(Float)
    battery_pct: Mapped[float | None] = mapped_column(Float)
    battery_v: Mapped[float | None] = mapped_column(Float)
    co2_ppm: Mapped[float | None] = mapped_column(Float)
    o2_pct: Mapped[float | None] = mapped_column(Float)
    pm25_ug_m3: Mapped[float | None] = mapped_column(Float)
    signal_dbm: Mapped[float | None] = mapped_column(Float)


class Lease(Base):
    """What one process of several may do until a moment; afterwards another one may take it.

    ``supervisor``: watch the sites. ``latest/<process>``: owe latest values for what it has stored
    since ``detail``; whoever finds it run out makes up for them.
    """

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(_ID)
    until_us: Mapped[int] = mapped_column(BigInteger)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class SetAside(Base):
    """A message the city could not use: kept whole, with its reason, acknowledged as such."""

    __tablename__ = "set_aside"
    __table_args__ = (Index("ix_set_aside_at", "at_us"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    topic: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(500))
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    truncated: Mapped[bool] = mapped_column(Boolean, default=False)
