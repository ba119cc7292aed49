"""What to say when nothing was found: words that no record has, and records that were perhaps meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rapidfuzz import fuzz, process
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.rights import Actor
from registry.search.find import KINDS, MAX_WORDS, search
from registry.search.models import SearchWord
from registry.search.text import words_of
from registry.search.vocabulary import NOBODY, words_known

#: Less alike than what a search takes by itself for a misspelling; of 100.
_ALIKE: Final = 50
#: Records proposed for one word.
_PROPOSED: Final = 3


@dataclass(frozen=True)
class Nothing:
    """For each word that begins no record's: the titles of records with a word like it."""

    asked: bool
    unknown: dict[str, list[str]]

    def text(self) -> str:
        """One line for a person."""
        if not self.asked:
            return "nothing found: there is no word to look for"
        if not self.unknown:
            return "nothing found: each word is there, but no record has all of them; ask with fewer"
        told = [
            f"no word begins with {word!r}"
            + (f"; perhaps {', '.join(map(repr, titles))}" if titles else "")
            for word, titles in self.unknown.items()
        ]
        return "nothing found: " + "; ".join(told)


async def about_nothing(
    session: AsyncSession, actor: Actor, text: str, kinds: Sequence[str] = ()
) -> Nothing:
    """Why a search of this text found nothing among these kinds (all by default)."""
    searched = kinds or tuple(KINDS)
    tables = [str(KINDS[name].table.__tablename__) for name in searched]
    unknown: dict[str, list[str]] = {}
    asked = words_of(text)[:MAX_WORDS]
    for word in asked:
        begun = select(SearchWord.word).where(
            SearchWord.kind.in_(tables), SearchWord.word >= word,
            SearchWord.word < word + "\U0010ffff", SearchWord.object_id > NOBODY,
        )  # fmt: skip
        if await session.scalar(begun.limit(1)) is None:
            unknown[word] = await _alike(session, actor, word, searched, tables)
    return Nothing(bool(asked), unknown)


async def _alike(
    session: AsyncSession, actor: Actor, word: str, searched: Sequence[str], tables: Sequence[str]
) -> list[str]:
    known = {one for table in tables for one in await words_known(session, table)}
    near = process.extract(word, known, scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=_PROPOSED)
    titles: dict[str, None] = {}
    for one, _, _ in near:
        for hit in await search(session, actor, one, kinds=searched, limit=1):
            titles.setdefault(hit.title)
    return list(titles)[:_PROPOSED]
