"""Tables of accounts. Secrets are sealed or hashed; whom a provider knows is a keyed hash."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.sealed import Sealed, SealedText


class SecondFactor(Base):
    """A person's TOTP secret; it counts once a first code has confirmed it."""

    __tablename__ = "second_factor"
    person_id: Mapped[str] = mapped_column(
        ForeignKey("person.id", ondelete="CASCADE"), primary_key=True
    )
    secret: Mapped[Sealed] = mapped_column(SealedText)
    created_us: Mapped[int] = mapped_column(BigInteger)
    confirmed_us: Mapped[int | None] = mapped_column(BigInteger)
    #: the newest step (of 30 s since 1970) whose code was taken: no code is taken twice
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)


class RecoveryCode(Base):
    """Stands in once for a lost second factor."""

    __tablename__ = "recovery_code"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    created_us: Mapped[int] = mapped_column(BigInteger)
    used_us: Mapped[int | None] = mapped_column(BigInteger)


class RoleRule(Base):
    """What a role asks of whoever has it."""

    __tablename__ = "role_rule"
    role: Mapped[str] = mapped_column(String(30), primary_key=True)
    second_factor: Mapped[bool] = mapped_column(Boolean, default=False)


class OutsideAccount(Base):
    """Somebody as an OpenID provider knows them; without a person: waits for an administrator."""

    __tablename__ = "outside_account"
    #: keyed hash of issuer and subject: a subject may be a register number
    subject_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    provider: Mapped[str] = mapped_column(String(40))
    #: what the visitor is shown and tells the administrator
    code: Mapped[str] = mapped_column(String(20), unique=True)
    person_id: Mapped[str | None] = mapped_column(
        ForeignKey("person.id", ondelete="CASCADE"), index=True
    )
    created_us: Mapped[int] = mapped_column(BigInteger)


class EmergencyAccess(Base):
    """A role that somebody took for some minutes, and why."""

    __tablename__ = "emergency_access"
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(30))
    reason: Mapped[str] = mapped_column(String(500))
    started_us: Mapped[int] = mapped_column(BigInteger)
    ends_us: Mapped[int] = mapped_column(BigInteger, index=True)
