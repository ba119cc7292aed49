"""The words that records of a kind have at all, for finding what a misspelt one meant.

They are rows of ``search_word`` that belong to no record (an empty ``object_id``), so that a question
reads some thousand words instead of every record's. A word stays when its last record is gone: it
then leads to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from registry.search.models import SearchWord

#: Shorter words are not guessed.
LEAST_LETTERS: Final = 4
#: More words of a kind than any language has; what is beyond is not guessed.
_MOST: Final = 50_000
_CHUNK: Final = 500
NOBODY: Final = ""


def remember(connection: Connection, words: Iterable[tuple[str, str]]) -> None:
    """Note what is new of these (kind, word), inside the caller's transaction."""
    by_kind: dict[str, set[str]] = {}
    for kind, word in words:
        if len(word) >= LEAST_LETTERS and word.isalpha():
            by_kind.setdefault(kind, set()).add(word)
    fresh = []
    for kind, wanted in by_kind.items():
        every = sorted(wanted)
        for start in range(0, len(every), _CHUNK):
            chunk = every[start : start + _CHUNK]
            query = select(SearchWord.word).where(
                SearchWord.kind == kind, SearchWord.object_id == NOBODY, SearchWord.word.in_(chunk)
            )
            known = set(connection.scalars(query))
            fresh += [
                {"kind": kind, "word": word, "object_id": NOBODY} for word in chunk if word not in known
            ]
    if fresh:
        _enter(connection, fresh)


def _enter(connection: Connection, rows: list[dict[str, str]]) -> None:
    if connection.dialect.name == "postgresql":
        from registry.audit import CHAIN_LOCK  # the audit's tables need this room

        # two that enter the same words wait for each other here, as they would for the audit
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
        connection.execute(postgresql.insert(SearchWord).on_conflict_do_nothing(), rows)
    else:
        connection.execute(sqlite.insert(SearchWord).on_conflict_do_nothing(), rows)


async def words_known(session: AsyncSession, kind: str) -> list[str]:
    """Every word that records of the kind have."""
    query = select(SearchWord.word).where(SearchWord.kind == kind, SearchWord.object_id == NOBODY)
    return list(await session.scalars(query.limit(_MOST)))
