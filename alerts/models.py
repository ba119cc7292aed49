"""The tables of alerts: alarms as the city knows them, incidents, and who was told what."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base

_ID = String(64)


def _id() -> Mapped[str]:
    return mapped_column(_ID, primary_key=True, default=new_id)


class AlarmRecord(Base):
    """An alarm. The upper half is the edge's and only its events write it; the lower the city's."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index("ix_alarm_open", "site_id", "cleared_us"),
        # whether an incident's alarm lasts, and when its last one ended, without reading all of them
        Index("ix_alarm_incident", "incident_id", "cleared_us"),
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(_ID)
    detector_id: Mapped[str] = mapped_column(_ID, index=True)
    kind: Mapped[str] = mapped_column(String(30))
    alarm_class: Mapped[str] = mapped_column(String(20))
    raised_us: Mapped[int] = mapped_column(BigInteger)
    cleared_us: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(500))
    peak: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    values: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    test: Mapped[bool] = mapped_column(Boolean, default=False)
    # the city's
    #: a newer epoch's snapshot left it out; ``cleared_us`` holds that moment until the edge says better
    omitted_us: Mapped[int | None] = mapped_column(BigInteger)
    closed_reason: Mapped[str | None] = mapped_column(String(100))
    arrived_us: Mapped[int] = mapped_column(BigInteger)
    #: it was already over, or too old to be live, when it first arrived
    history: Mapped[bool] = mapped_column(Boolean, default=False)
    abandoned_us: Mapped[int | None] = mapped_column(BigInteger)
    abandoned_reason: Mapped[str | None] = mapped_column(String(300))
    incident_id: Mapped[str | None] = mapped_column(ForeignKey("incident.id"))


class AlarmEpoch(Base):
    """The spool epochs a site has had, in the order the city met them (``id`` is the order)."""

    __tablename__ = "alarm_epoch"
    __table_args__ = (UniqueConstraint("site_id", "epoch"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(63))
    epoch: Mapped[str] = mapped_column(_ID)
    met_us: Mapped[int] = mapped_column(BigInteger)
    #: the site's own time of its first and of its newest snapshot under this epoch
    first_snapshot_us: Mapped[int | None] = mapped_column(BigInteger)
    last_snapshot_us: Mapped[int | None] = mapped_column(BigInteger)


class Incident(Base):
    """Alarms of one household (or site) and one hazard, while they last.

    ``open_key`` is ``<subject>/<hazard>`` while the incident is open and NULL after: unique, so one
    open incident per household and hazard is the database's own promise.
    """

    __tablename__ = "incident"
    id: Mapped[str] = _id()
    open_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    #: household | site | unit | city | channel (a quarterly test)
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str] = mapped_column(_ID, index=True)
    site_id: Mapped[str] = mapped_column(String(63), index=True)
    household_id: Mapped[str | None] = mapped_column(ForeignKey("household.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20))
    #: fire | co | exposure | trouble | site | test | drill
    hazard: Mapped[str] = mapped_column(String(20))
    alarm_class: Mapped[str] = mapped_column(String(20), index=True)
    #: opened | acknowledged | all_clear | resolved
    state: Mapped[str] = mapped_column(String(20), index=True)
    history: Mapped[bool] = mapped_column(Boolean, default=False)
    #: when the earliest of its alarms was raised (edge's clock), and when the city opened it
    raised_us: Mapped[int] = mapped_column(BigInteger)
    opened_us: Mapped[int] = mapped_column(BigInteger)
    cleared_us: Mapped[int | None] = mapped_column(BigInteger)
    acknowledged_us: Mapped[int | None] = mapped_column(BigInteger)
    acknowledged_by: Mapped[str | None] = mapped_column(String(100))
    #: the person whom the desk gave it to
    assigned_to: Mapped[str | None] = mapped_column(_ID)
    resolved_us: Mapped[int | None] = mapped_column(BigInteger)
    #: real_fire | cooking | test | fault | unknown
    cause: Mapped[str | None] = mapped_column(String(30))
    summary: Mapped[str] = mapped_column(String(500), default="")
    #: grows each time it burns again after an all clear: people are told again
    episode: Mapped[int] = mapped_column(Integer, default=1)
    #: the highest rung of the ladder that was climbed, and when the next one is due (NULL: none)
    rung: Mapped[int] = mapped_column(Integer, default=0)
    next_rung_us: Mapped[int | None] = mapped_column(BigInteger, index=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    #: where the home is, of an alarm; for finding the homes around it
    lat: Mapped[float | None] = mapped_column(Float, index=True)
    lon: Mapped[float | None] = mapped_column(Float)
    #: so many homes burn together, and the first of those incidents (NULL: this home alone)
    homes: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    together_id: Mapped[str | None] = mapped_column(_ID, index=True)


class IncidentEntry(Base):
    """One line of an incident's story, in order."""

    __tablename__ = "incident_entry"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incident.id", ondelete="CASCADE"), index=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    #: opened | alarm_joined | alarm_cleared | acknowledged | all_clear | resolved | note | …
    what: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(100), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class Notification(Base):
    """What one person is to be told of one incident, once per rung and message."""

    __tablename__ = "notification"
    __table_args__ = (UniqueConstraint("incident_id", "contact_id", "episode", "rung", "message"),)
    id: Mapped[str] = _id()
    incident_id: Mapped[str] = mapped_column(ForeignKey("incident.id", ondelete="CASCADE"), index=True)
    contact_id: Mapped[str] = mapped_column(ForeignKey("contact.id", ondelete="CASCADE"), index=True)
    episode: Mapped[int] = mapped_column(Integer, default=1)
    rung: Mapped[int] = mapped_column(Integer, default=0)
    #: which text: fire | co | all_clear | test | trouble | history | …
    message: Mapped[str] = mapped_column(String(30))
    language: Mapped[str] = mapped_column(String(5))
    values: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_us: Mapped[int] = mapped_column(BigInteger)


class Delivery(Base):
    """One notification on one channel. ``state`` is the last word that can be looked up.

    queued → sending (leased) → accepted | refused | dead | unknown, or back to queued; queued →
    cancelled when its reason is gone; accepted → delivered → seen where a channel can tell.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("notification_id", "channel_id"),
        Index("ix_delivery_due", "state", "channel", "priority", "due_us"),
    )
    id: Mapped[str] = _id()
    notification_id: Mapped[str] = mapped_column(
        ForeignKey("notification.id", ondelete="CASCADE"), index=True
    )
    channel_id: Mapped[str] = mapped_column(
        ForeignKey("contact_channel.id", ondelete="CASCADE"), index=True
    )
    channel: Mapped[str] = mapped_column(String(20))
    #: smaller is sooner: 0 alarm, 1 supervisory, 2 trouble
    priority: Mapped[int] = mapped_column(Integer, default=2)
    state: Mapped[str] = mapped_column(String(20), default="queued")
    reason: Mapped[str | None] = mapped_column(String(60))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due_us: Mapped[int] = mapped_column(BigInteger)
    #: when it was due at first; giving up is counted from here
    first_due_us: Mapped[int] = mapped_column(BigInteger)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    queued_us: Mapped[int] = mapped_column(BigInteger)
    #: what the provider calls it, where it reports later under that name
    provider_id: Mapped[str | None] = mapped_column(String(200), index=True)
    accepted_us: Mapped[int | None] = mapped_column(BigInteger)
    delivered_us: Mapped[int | None] = mapped_column(BigInteger)
    seen_us: Mapped[int | None] = mapped_column(BigInteger)


class Attempt(Base):
    """One try of a delivery and the provider's evidence (never an address or a secret)."""

    __tablename__ = "attempt"
    id: Mapped[str] = _id()
    delivery_id: Mapped[str] = mapped_column(ForeignKey("delivery.id", ondelete="CASCADE"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    started_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)
    #: accepted | retry | refused | unknown (the provider's answer was lost)
    outcome: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(60))
    evidence: Mapped[str | None] = mapped_column(Text)


class CapMessage(Base):
    """A CAP message that was made ready for dispatch; its words are made when somebody reads it."""

    __tablename__ = "cap_message"
    __table_args__ = (UniqueConstraint("incident_id", "number"),)
    id: Mapped[str] = _id()
    incident_id: Mapped[str] = mapped_column(ForeignKey("incident.id", ondelete="CASCADE"), index=True)
    #: 1 is the Alert, later ones refer to all before them
    number: Mapped[int] = mapped_column(Integer)
    #: Alert | Update | Cancel
    msg_type: Mapped[str] = mapped_column(String(10))
    #: the incident's state when it was made
    state: Mapped[str] = mapped_column(String(20))
    sent_us: Mapped[int] = mapped_column(BigInteger, index=True)


class ChannelHealth(Base):
    """What the canary of one channel last found, for whoever asks from another process."""

    __tablename__ = "channel_health"
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    failing: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(String(60))
    last_good_us: Mapped[int | None] = mapped_column(BigInteger)
    checked_us: Mapped[int] = mapped_column(BigInteger)


class Consent(Base):
    """A contact agreed to be told on a channel, or took it back; never changed, only added to."""

    __tablename__ = "consent"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    channel_id: Mapped[str] = mapped_column(
        ForeignKey("contact_channel.id", ondelete="CASCADE"), index=True
    )
    given: Mapped[bool] = mapped_column(Boolean)
    #: which text the person was shown
    text_version: Mapped[str] = mapped_column(String(40))
    #: link | page | office | import
    how: Mapped[str] = mapped_column(String(20))
    at_us: Mapped[int] = mapped_column(BigInteger)
