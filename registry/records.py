"""What every record that people edit has in common: a version, a searchable text, an end with a trace.

The version grows by one whenever a column named in the class's ``EDITED`` changes through the ORM,
whichever way the change came in; what a device says of itself does not count. Editors send back the
version they saw (``gateway`` writes it as an ETag), so two people do not overwrite each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Integer, String, Text, delete, event, insert, inspect
from sqlalchemy.orm import Mapped, Mapper, Session, UOWTransaction, mapped_column

from registry.search.models import SearchWord
from registry.search.text import entries_of, searchable, sort_key
from registry.search.vocabulary import remember

#: Words of so many records are taken out in one statement.
_CHUNK: Final = 500


class Versioned:
    """A record with a version: 1 when it is made, one more with each edit."""

    #: what the audit and the API call it; the table's name where it is empty
    KIND: ClassVar[str] = ""
    #: the columns people edit; a change of any other leaves the version alone
    EDITED: ClassVar[tuple[str, ...]] = ()
    #: the column with the site that must be told of each change of it, where there is one
    TELLS: ClassVar[str | None] = None
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    #: when it was last edited, µs UTC; None: never since it was made
    updated_us: Mapped[int | None] = mapped_column(BigInteger)


class Searchable:
    """A record that is found by any spelling of its texts and sorted as the alphabet says.

    What is searched and sorted by is filled when the record is written, from the columns named here.
    """

    #: the columns whose texts it is found by; none of them is personal
    SEARCHED: ClassVar[tuple[str, ...]] = ()
    #: the column it is sorted by
    SORTED: ClassVar[str] = ""
    #: all its texts, folded
    search_text: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: sorts by code points as its name sorts by the alphabet
    sort_key: Mapped[str] = mapped_column(String(500), default="", server_default="", index=True)


class Removable:
    """A record that ends by being marked; it is never deleted, so its trace stays."""

    #: entered by mistake or merged into another; in no list any more, its history stays readable
    gone_us: Mapped[int | None] = mapped_column(BigInteger)
    #: the record that took it over in a merge
    merged_into_id: Mapped[str | None] = mapped_column(String(64))


@event.listens_for(Versioned, "before_update", propagate=True)
def _count_edit(_mapper: Mapper[Any], _connection: Any, record: Versioned) -> None:
    attributes = inspect(record).attrs
    if any(attributes[name].history.has_changes() for name in record.EDITED):
        record.version += 1


@event.listens_for(Searchable, "before_insert", propagate=True)
@event.listens_for(Searchable, "before_update", propagate=True)
def _describe(_mapper: Mapper[Any], _connection: Any, record: Searchable) -> None:
    for name, value in described(record).items():
        if getattr(record, name) != value:
            setattr(record, name, value)


def described(record: Searchable) -> dict[str, str]:
    """What a record is searched and sorted by."""
    values = {}
    if record.SEARCHED:
        values["search_text"] = searchable(*(_text(getattr(record, name)) for name in record.SEARCHED))
    if record.SORTED:
        values["sort_key"] = sort_key(_text(getattr(record, record.SORTED)) or "")
    return values


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return None if value is None else str(value)


@event.listens_for(Session, "after_flush")
def _index(session: Session, _context: UOWTransaction) -> None:
    """The words of what was written go into the table that search looks into."""
    fresh = [record for record in session.new if isinstance(record, Searchable)]
    stale = [record for record in session.dirty if isinstance(record, Searchable) and _turned(record)]
    if not fresh and not stale:
        return
    connection = session.connection()
    by_kind: dict[str, list[str]] = {}
    for record in stale:
        by_kind.setdefault(_table(record), []).append(_id(record))
    for kind, ids in by_kind.items():
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            connection.execute(
                delete(SearchWord).where(SearchWord.kind == kind, SearchWord.object_id.in_(chunk))
            )
    words = [word for record in (*fresh, *stale) for word in _words(record)]
    if words:
        connection.execute(insert(SearchWord), words)
        remember(connection, [(word["kind"], word["word"]) for word in words])


def _turned(record: Searchable) -> bool:
    attributes = inspect(record).attrs
    names = [name for name in ("search_text", "gone_us") if name in attributes]
    return any(attributes[name].history.has_changes() for name in names)


def _words(record: Searchable) -> Iterator[dict[str, str]]:
    if getattr(record, "gone_us", None) is None:
        for word in entries_of(record.search_text or ""):
            yield {"kind": _table(record), "word": word, "object_id": _id(record)}


def _table(record: Any) -> str:
    return str(record.__tablename__)


def _id(record: Any) -> str:
    return str(record.id)
