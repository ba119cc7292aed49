"""The tables of search: words of every searchable record, and people's saved lists."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base

#: Beginnings of words are ranges of code points, so PostgreSQL must not sort them by a language.
_BY_CODE_POINT = String(40).with_variant(String(40, collation="C"), "postgresql")


class SearchWord(Base):
    """One folded word of one record."""

    __tablename__ = "search_word"
    __table_args__ = (
        Index("ix_search_word_kind_object_id", "kind", "object_id"),
        {"sqlite_with_rowid": False},
    )
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    word: Mapped[str] = mapped_column(_BY_CODE_POINT, primary_key=True)
    object_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class SavedView(Base):
    """A list somebody keeps: its kind and its filters. Shared, others see it with their own rights."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("owner", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    #: the actor's id
    owner: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(40))
    #: the list's query parameters
    filters: Mapped[dict[str, Any]] = mapped_column(JSON)
    #: others who know its id may open it
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    created_us: Mapped[int] = mapped_column(BigInteger)
