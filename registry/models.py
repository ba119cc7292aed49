"""The register's tables. Ids are opaque texts; times are µs UTC; personal fields are sealed."""

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
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.sealed import Sealed, SealedText

_ID = String(64)


def _id() -> Mapped[str]:
    return mapped_column(_ID, primary_key=True, default=new_id)


class CityFact(Base):
    """What the database knows of itself, such as its ``store`` id (new after every restore)."""

    __tablename__ = "city_fact"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Organisation(Base):
    """A body that answers for something: the city, a district, a school, a contractor."""

    __tablename__ = "organisation"
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(300), unique=True)


class Person(Base):
    """Somebody who signs in. ``login`` is an office name, the person's own name is sealed."""

    __tablename__ = "person"
    id: Mapped[str] = _id()
    login: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[Sealed | None] = mapped_column(SealedText)
    password_hash: Mapped[str | None] = mapped_column(String(300))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    language: Mapped[str] = mapped_column(String(5), default="mn")
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    created_us: Mapped[int] = mapped_column(BigInteger)


class RoleGrant(Base):
    """A role a person has, everywhere or inside one organisation or administrative unit."""

    __tablename__ = "role_grant"
    __table_args__ = (UniqueConstraint("person_id", "role", "organisation_id", "unit_code"),)
    id: Mapped[str] = _id()
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(30))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    unit_code: Mapped[str | None] = mapped_column(String(20))


class LoginSession(Base):
    """A signed-in browser. Only the token's hash is stored."""

    __tablename__ = "login_session"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_us: Mapped[int] = mapped_column(BigInteger)
    used_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger)


class ApiToken(Base):
    """A machine's key: scoped to roles, expiring, stored as a hash."""

    __tablename__ = "api_token"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    roles: Mapped[list[str]] = mapped_column(JSON)
    created_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger)
    revoked_us: Mapped[int | None] = mapped_column(BigInteger)


class SetupCode(Base):
    """The one-time code on the console that makes the first administrator."""

    __tablename__ = "setup_code"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger)
    used_us: Mapped[int | None] = mapped_column(BigInteger)


class Site(Base):
    """One edge agent and what hangs on it. The id is the name in its topics."""

    __tablename__ = "site"
    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    title: Mapped[str] = mapped_column(String(200), default="")
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    #: grows with every change a site must be told of
    config_version: Mapped[int] = mapped_column(Integer, default=1)
    alarm_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    output_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_us: Mapped[int] = mapped_column(BigInteger)


class Household(Base):
    """A family's home. ``label`` is what the office calls it (no name); the address is sealed."""

    __tablename__ = "household"
    id: Mapped[str] = _id()
    label: Mapped[str] = mapped_column(String(100), unique=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    address: Mapped[Sealed | None] = mapped_column(SealedText)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    language: Mapped[str] = mapped_column(String(5), default="mn")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Contact(Base):
    """Somebody to be told: for a household, in this order; or on duty, then of no household.

    ``role``: resident or neighbour of the household; duty, for the administrative unit
    ``unit_code`` and what lies in it; desk, the city's duty desk (a unit only where it has several).
    """

    __tablename__ = "contact"
    id: Mapped[str] = _id()
    household_id: Mapped[str | None] = mapped_column(
        ForeignKey("household.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str] = mapped_column(String(20), default="resident", server_default="resident")
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    #: local hours without troubles, such as 21 and 9; alarms know no quiet hours
    quiet_from_h: Mapped[int | None] = mapped_column(Integer)
    quiet_until_h: Mapped[int | None] = mapped_column(Integer)
    #: on holiday until then: troubles go to the next contact
    away_until_us: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[Sealed] = mapped_column(SealedText)
    language: Mapped[str] = mapped_column(String(5), default="mn")
    position: Mapped[int] = mapped_column(Integer, default=1)
    #: no contact any more; kept because of what was sent to it
    gone_us: Mapped[int | None] = mapped_column(BigInteger)


class ContactChannel(Base):
    """One way to reach a contact: an e-mail address, a push subscription (JSON), a number."""

    __tablename__ = "contact_channel"
    __table_args__ = (UniqueConstraint("contact_id", "channel", "address_fingerprint"),)
    id: Mapped[str] = _id()
    contact_id: Mapped[str] = mapped_column(ForeignKey("contact.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(20))
    address: Mapped[Sealed] = mapped_column(SealedText)
    address_fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    verified_us: Mapped[int | None] = mapped_column(BigInteger)
    #: a code on its way to the address, as a hash, and how long it holds
    code_hash: Mapped[str | None] = mapped_column(String(64))
    code_until_us: Mapped[int | None] = mapped_column(BigInteger)
    #: taken back by the person or removed by the office; nothing goes there
    withdrawn_us: Mapped[int | None] = mapped_column(BigInteger)
    #: when the person last wrote to us on it (a messenger's window hangs on that)
    heard_us: Mapped[int | None] = mapped_column(BigInteger)
    #: set when the provider says the address is dead
    dead_us: Mapped[int | None] = mapped_column(BigInteger)
    dead_reason: Mapped[str | None] = mapped_column(String(100))


class DetectorModel(Base):
    """A make of detector: what it senses, how often it must be heard, how to judge it."""

    __tablename__ = "detector_model"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    maker: Mapped[str] = mapped_column(String(100), default="")
    name: Mapped[str] = mapped_column(String(100))
    senses: Mapped[list[str]] = mapped_column(JSON, default=list)
    deadline_s: Mapped[float] = mapped_column(Float)
    alarm_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    source_note: Mapped[str] = mapped_column(String(300), default="")


class Detector(Base):
    """A detector at a site. ``status``: unregistered (heard, nobody's yet), in_service, retired."""

    __tablename__ = "detector"
    __table_args__ = (
        UniqueConstraint("site_id", "source", "address"),
        Index("ix_detector_status", "status"),
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"), index=True)
    source: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20), default="unregistered")
    model_id: Mapped[str | None] = mapped_column(ForeignKey("detector_model.id"))
    household_id: Mapped[str | None] = mapped_column(ForeignKey("household.id"), index=True)
    place: Mapped[str] = mapped_column(String(100), default="")
    #: what the device says of itself
    maker: Mapped[str | None] = mapped_column(String(100))
    model_name: Mapped[str | None] = mapped_column(String(100))
    firmware: Mapped[str | None] = mapped_column(String(100))
    online: Mapped[bool | None] = mapped_column(Boolean)
    #: what its protocol proposes: ``senses``, ``deadline_s``
    proposed: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    alarm_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    first_seen_us: Mapped[int | None] = mapped_column(BigInteger)
    registered_us: Mapped[int | None] = mapped_column(BigInteger)


class AuditEntry(Base):
    """Who changed what, when, from where; append-only, chained by hash."""

    __tablename__ = "audit_entry"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(100))
    origin: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(60))
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(100), index=True)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class LoginFailure(Base):
    """Failed sign-ins in a row, by a hash of the login or of where they came from."""

    __tablename__ = "login_failure"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_us: Mapped[int] = mapped_column(BigInteger)
