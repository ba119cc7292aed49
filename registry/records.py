"""What every record that people edit has in common: a version, a searchable text, an end with a trace.

The version grows by one whenever a column named in the class's ``EDITED`` changes through the ORM,
whichever way the change came in; what a device says of itself does not count. Editors send back the
version they saw (``gateway`` writes it as an ETag), so two people do not overwrite each other.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Integer, String, Text, event, inspect
from sqlalchemy.orm import Mapped, Mapper, mapped_column


class Versioned:
    """A record with a version: 1 when it is made, one more with each edit."""

    #: what the audit and the API call it; the table's name where it is empty
    KIND: ClassVar[str] = ""
    #: the columns people edit; a change of any other leaves the version alone
    EDITED: ClassVar[tuple[str, ...]] = ()
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    #: when it was last edited, µs UTC; None: never since it was made
    updated_us: Mapped[int | None] = mapped_column(BigInteger)


class Searchable:
    """A record that is found by any spelling of its texts and sorted as the alphabet says."""

    #: all its texts, folded; filled by whoever writes the record
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
