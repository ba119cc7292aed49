"""The register's tables. Ids are opaque texts; times are µs UTC; personal fields are sealed."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Removable, Searchable, Versioned
from registry.sealed import Sealed, SealedText

_ID = String(64)
#: what is gone holds its numbers no longer
_HELD = text("gone_us IS NULL")


def _id() -> Mapped[str]:
    return mapped_column(_ID, primary_key=True, default=new_id)


class CityFact(Base):
    """What the database knows of itself, such as its ``store`` id (new after every restore)."""

    __tablename__ = "city_fact"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Organisation(Versioned, Searchable, Removable, Base):
    """A body that answers for something: the city, a district, a school, a contractor."""

    __tablename__ = "organisation"
    SEARCHED: ClassVar[tuple[str, ...]] = ("name", "short_name", "register_number")
    SORTED: ClassVar[str] = "name"
    __table_args__ = (
        Index("uq_organisation_register_number", "register_number", unique=True,
              sqlite_where=_HELD, postgresql_where=_HELD),
    )  # fmt: skip
    EDITED: ClassVar[tuple[str, ...]] = (
        "name", "short_name", "kind", "register_number", "parent_id", "unit_code", "lat", "lon",
        "contact", "note", "gone_us", "merged_into_id",
    )  # fmt: skip
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(300), unique=True)
    short_name: Mapped[str] = mapped_column(String(50), default="", server_default="")
    #: one of ``registry.organisations.KINDS``
    kind: Mapped[str] = mapped_column(String(30), default="other", server_default="other")
    #: of a legal entity, which is public; a citizen's number never comes here
    register_number: Mapped[str | None] = mapped_column(String(20))
    #: the organisation it belongs to
    parent_id: Mapped[str | None] = mapped_column(_ID, index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    #: who answers there and how they are reached
    contact: Mapped[Sealed | None] = mapped_column(SealedText)
    note: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    created_us: Mapped[int | None] = mapped_column(BigInteger)


class AdministrativeUnit(Base):
    """A capital, aimag, district, soum or khoroo, as it was called from one day to another.

    A code may come back with another name or parent: then the older row has an end.
    """

    __tablename__ = "administrative_unit"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    valid_from: Mapped[date] = mapped_column(Date, primary_key=True)
    #: the first day it no longer holds
    valid_until: Mapped[date | None] = mapped_column(Date)
    parent_code: Mapped[str | None] = mapped_column(String(20), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    name_mn: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    #: its centre; None where only its parent's is known
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    #: how many khoroos a district has, where that is a fact of its own
    khoroo_count: Mapped[int | None] = mapped_column(Integer)
    #: its place in the statistics office's order
    position: Mapped[int] = mapped_column(Integer, default=0)
    source: Mapped[str] = mapped_column(String(300), default="")


class UnitBoundary(Base):
    """The outline of a unit from an official file, for orientation and never for legal use."""

    __tablename__ = "unit_boundary"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    #: a GeoJSON geometry: Polygon or MultiPolygon, WGS 84
    geometry: Mapped[dict[str, Any]] = mapped_column(JSON)
    min_lat: Mapped[float] = mapped_column(Float)
    min_lon: Mapped[float] = mapped_column(Float)
    max_lat: Mapped[float] = mapped_column(Float)
    max_lon: Mapped[float] = mapped_column(Float)
    #: must be shown wherever the outline is
    attribution: Mapped[str] = mapped_column(String(500))
    file_name: Mapped[str] = mapped_column(String(200))
    file_sha256: Mapped[str] = mapped_column(String(64))
    imported_us: Mapped[int] = mapped_column(BigInteger)


class LifeStep(Base):
    """One step of a record's life, with what proved that it may be taken."""

    __tablename__ = "life_step"
    __table_args__ = (Index("ix_life_step_object", "object_kind", "object_id", "at_us"),)
    id: Mapped[str] = _id()
    #: camera or detector
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(64))
    #: None: the beginning
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(100))
    #: what the step asked for, by name
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    reason: Mapped[str | None] = mapped_column(String(500))


class DetectorStay(Base):
    """Where a detector hung, from when until when; the newest one has no end."""

    __tablename__ = "detector_stay"
    id: Mapped[str] = _id()
    detector_id: Mapped[str] = mapped_column(ForeignKey("detector.id"), index=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"))
    household_id: Mapped[str | None] = mapped_column(ForeignKey("household.id"), index=True)
    place: Mapped[str] = mapped_column(String(100), default="")
    from_us: Mapped[int] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    #: the detector whose place it took
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("detector.id"))


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
    #: the address it was opened from, for its owner to recognise
    origin: Mapped[str] = mapped_column(String(100), default="", server_default="")
    created_us: Mapped[int] = mapped_column(BigInteger)
    used_us: Mapped[int] = mapped_column(BigInteger)
    expires_us: Mapped[int] = mapped_column(BigInteger)


class ApiToken(Base):
    """A machine's key: scoped to roles, perhaps in one unit or organisation; expiring, a hash."""

    __tablename__ = "api_token"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    roles: Mapped[list[str]] = mapped_column(JSON)
    unit_code: Mapped[str | None] = mapped_column(String(20))
    organisation_id: Mapped[str | None] = mapped_column(_ID)
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


class Site(Versioned, Searchable, Removable, Base):
    """One edge agent and what hangs on it. The id is the name in its topics."""

    __tablename__ = "site"
    SEARCHED: ClassVar[tuple[str, ...]] = ("id", "title")
    SORTED: ClassVar[str] = "title"
    EDITED: ClassVar[tuple[str, ...]] = (
        "title", "unit_code", "lat", "lon", "alarm_settings", "output_settings",
        "gone_us", "merged_into_id",
    )  # fmt: skip
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


class Household(Versioned, Searchable, Removable, Base):
    """A family's home. ``label`` is what the office calls it (no name); the address is sealed."""

    __tablename__ = "household"
    SEARCHED: ClassVar[tuple[str, ...]] = ("label",)
    SORTED: ClassVar[str] = "label"
    EDITED: ClassVar[tuple[str, ...]] = (
        "label", "site_id", "unit_code", "address", "lat", "lon", "language",
        "gone_us", "merged_into_id",
    )  # fmt: skip
    id: Mapped[str] = _id()
    label: Mapped[str] = mapped_column(String(100), unique=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"), index=True)
    unit_code: Mapped[str | None] = mapped_column(String(20), index=True)
    address: Mapped[Sealed | None] = mapped_column(SealedText)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    language: Mapped[str] = mapped_column(String(5), default="mn")
    created_us: Mapped[int] = mapped_column(BigInteger)
    #: when what was personal was taken out of it, at the family's wish or after its time
    erased_us: Mapped[int | None] = mapped_column(BigInteger)


class Contact(Base):
    """Somebody to be told: for a household, in this order; or on duty, then of no household.

    ``role``: resident or neighbour of the household; duty, for the administrative unit
    ``unit_code`` and what lies in it; desk, the city's duty desk (a unit only where it has several);
    organisation, the addresses in an organisation's contact (``alerts.bodies``).
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
    #: when the last quarterly test was planned
    drilled_us: Mapped[int | None] = mapped_column(BigInteger)
    #: when the name and the addresses were taken out
    erased_us: Mapped[int | None] = mapped_column(BigInteger)


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
    #: since when the person wants nothing here that can wait; fire and CO still come
    muted_us: Mapped[int | None] = mapped_column(BigInteger)
    #: when the person last wrote to us on it (a messenger's window hangs on that)
    heard_us: Mapped[int | None] = mapped_column(BigInteger)
    #: set when the provider says the address is dead
    dead_us: Mapped[int | None] = mapped_column(BigInteger)
    dead_reason: Mapped[str | None] = mapped_column(String(100))


class DetectorModel(Versioned, Base):
    """A make of detector: what it senses, how often it must be heard, how to judge it."""

    __tablename__ = "detector_model"
    KIND: ClassVar[str] = "model"
    EDITED: ClassVar[tuple[str, ...]] = (
        "maker", "name", "senses", "deadline_s", "alarm_settings", "source_note",
    )  # fmt: skip
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    maker: Mapped[str] = mapped_column(String(100), default="")
    name: Mapped[str] = mapped_column(String(100))
    senses: Mapped[list[str]] = mapped_column(JSON, default=list)
    deadline_s: Mapped[float] = mapped_column(Float)
    alarm_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    source_note: Mapped[str] = mapped_column(String(300), default="")


class Detector(Versioned, Searchable, Base):
    """A detector at a site. ``status``: unregistered (heard, nobody's yet), in_service, retired."""

    __tablename__ = "detector"
    SEARCHED: ClassVar[tuple[str, ...]] = ("address", "serial", "place", "site_id")
    SORTED: ClassVar[str] = "address"
    __table_args__ = (
        UniqueConstraint("site_id", "source", "address"),
        Index("ix_detector_status", "status"),
    )
    EDITED: ClassVar[tuple[str, ...]] = (
        "household_id", "model_id", "place", "status", "alarm_settings", "serial",
    )  # fmt: skip
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"), index=True)
    source: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20), default="unregistered")
    model_id: Mapped[str | None] = mapped_column(ForeignKey("detector_model.id"))
    household_id: Mapped[str | None] = mapped_column(ForeignKey("household.id"), index=True)
    place: Mapped[str] = mapped_column(String(100), default="")
    serial: Mapped[str | None] = mapped_column(String(100))
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
    #: why, where the action asks for it
    reason: Mapped[str | None] = mapped_column(String(500))
    #: the import or bulk edit it belongs to
    batch_id: Mapped[str | None] = mapped_column(String(64), index=True)
    #: random; part of the hash, so that nobody guesses content that was taken out. None: older entry
    salt: Mapped[str | None] = mapped_column(String(32))
    #: when personal content was taken out of it; a later entry vouches for what remains
    redacted_us: Mapped[int | None] = mapped_column(BigInteger)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class LoginFailure(Base):
    """Failed sign-ins in a row, by a hash of the login or of where they came from."""

    __tablename__ = "login_failure"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_us: Mapped[int] = mapped_column(BigInteger)
