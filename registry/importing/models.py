"""The tables of imports: each import, and what it did to each record, so that it can be undone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.sealed import Sealed, SealedText


class RegisterImport(Base):
    """One file on its way into the register.

    ``state``: uploaded → (applying, where it takes long) → applied → undone or partly_undone; or
    dropped. What was uploaded and how its cells were repaired may be personal: both are sealed, and
    gone once the import is applied.
    """

    __tablename__ = "register_import"
    __table_args__ = (Index("ix_register_import_created_us", "created_us"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(40))
    file_name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(20))
    #: all (or nothing), or rows (those that hold, without the others)
    mode: Mapped[str] = mapped_column(String(10), default="all")
    actor: Mapped[str] = mapped_column(String(100))
    origin: Mapped[str] = mapped_column(String(100))
    created_us: Mapped[int] = mapped_column(BigInteger)
    applied_us: Mapped[int | None] = mapped_column(BigInteger)
    undone_us: Mapped[int | None] = mapped_column(BigInteger)
    #: heading → field, as guessed or as a person set it
    mapping: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: rows created, changed, unchanged, refused
    counts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    #: of a long file that is being taken: ``step``, ``done``, ``of`` and when that was so (``at_us``)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    content: Mapped[Sealed | None] = mapped_column(SealedText)
    repairs: Mapped[Sealed | None] = mapped_column(SealedText)


class ImportRow(Base):
    """What an import did to one record. ``action``: created, changed, revived, undone.

    What the fields were before and after is in the audit entry ``audit_id``; ``sealed_before`` keeps
    the ciphertexts (hex) that the import replaced, because the audit never has them.
    """

    __tablename__ = "import_row"
    __table_args__ = (Index("ix_import_row_object_kind_object_id", "object_kind", "object_id"),)
    import_id: Mapped[str] = mapped_column(ForeignKey("register_import.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    #: the row of the sheet, as a spreadsheet counts
    row: Mapped[int] = mapped_column(Integer)
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(20))
    audit_id: Mapped[int | None] = mapped_column(BigInteger)
    sealed_before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
