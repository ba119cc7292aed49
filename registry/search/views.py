"""A person's saved lists. A shared one may be opened by whoever knows its id, with their own rights."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.rights import Actor
from registry.search.models import SavedView
from registry.sites import Conflict, NoSuch

#: Lists one person keeps.
MAX_VIEWS: Final = 100


async def views_of(session: AsyncSession, actor: Actor) -> list[SavedView]:
    """The actor's own, by name."""
    query = select(SavedView).where(SavedView.owner == actor.id).order_by(SavedView.name)
    return list(await session.scalars(query))


async def view(session: AsyncSession, actor: Actor, view_id: str) -> SavedView:
    """One's own or a shared one. Raises ``NoSuch``."""
    found = await session.get(SavedView, view_id)
    if found is None or (found.owner != actor.id and not found.shared):
        raise NoSuch("view", view_id)
    return found


async def keep(
    session: AsyncSession, actor: Actor, name: str, kind: str, filters: dict[str, Any],
    *, shared: bool, now_us: int,
) -> SavedView:  # fmt: skip
    """Keep a list under a name; again under the same name replaces it. Raises ``Conflict``."""
    query = select(SavedView).where(SavedView.owner == actor.id, SavedView.name == name)
    found = await session.scalar(query)
    if found is None:
        count = select(func.count()).select_from(SavedView).where(SavedView.owner == actor.id)
        if (await session.scalar(count) or 0) >= MAX_VIEWS:
            raise Conflict("name", f"expected at most {MAX_VIEWS} saved lists; remove one first")
        found = SavedView(owner=actor.id, name=name, created_us=now_us)
        session.add(found)
    found.kind, found.filters, found.shared = kind, filters, shared
    await session.flush()
    return found


async def forget(session: AsyncSession, actor: Actor, view_id: str) -> None:
    """Raises ``NoSuch``: it is not the actor's own."""
    found = await session.get(SavedView, view_id)
    if found is None or found.owner != actor.id:
        raise NoSuch("view", view_id)
    await session.delete(found)
