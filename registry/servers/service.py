"""What ends soon, and the log of work; in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act, record
from registry.rights import Place
from registry.servers.models import Licence, Maintenance, Rack, Server, Software
from registry.sites import Conflict, NoSuch

#: What has a log of work.
LOGGED: Final[dict[str, Any]] = {"rack": Rack, "server": Server, "software": Software}
WORKS: Final = ("installation", "configuration", "repair", "security", "check")
#: Lines of one record's log shown at once.
MAX_LINES: Final = 500


@dataclass(frozen=True)
class Ending:
    """Something whose support or licence ends."""

    kind: str
    id: str
    name: str
    ends_on: date
    days_left: int
    organisation_id: str | None
    person_id: str | None


async def ending(session: AsyncSession, today: date, within_days: int) -> list[Ending]:
    """Servers and software whose support, and licences that, ended already or end within so many
    days; the soonest first. What is retired or removed does not count.
    """
    last = today + timedelta(days=within_days)
    found: list[Ending] = []
    kinds: tuple[tuple[str, Any, str], ...] = (
        ("server", Server, "support_until"),
        ("software", Software, "support_until"),
        ("licence", Licence, "valid_until"),
    )
    for kind, table, name in kinds:
        column = getattr(table, name)
        query = select(table).where(table.gone_us.is_(None), column.is_not(None), column <= last)
        if hasattr(table, "status"):
            query = query.where(table.status != "retired")
        for row in await session.scalars(query):
            day: date = getattr(row, name)
            found.append(
                Ending(
                    kind, row.id, row.name, day, (day - today).days, row.organisation_id, row.person_id
                )
            )
    return sorted(found, key=lambda one: (one.ends_on, one.kind, one.name))


async def log_work(
    session: AsyncSession, act: Act, kind: str, object_id: str, *, work: str, text: str,
    done_us: int, corrects_id: str | None = None,
) -> Maintenance:  # fmt: skip
    """Write a line of work. Raises ``NoSuch``, ``Conflict`` (a line of another record, the future)."""
    if await session.get(LOGGED[kind], object_id) is None:
        raise NoSuch(kind, object_id)
    if done_us > act.now_us:
        raise Conflict("done_at", "it lies in the future; what is planned is no work done")
    if corrects_id is not None:
        older = await session.get(Maintenance, corrects_id)
        if older is None or (older.object_kind, older.object_id) != (kind, object_id):
            raise Conflict("corrects_id", "no line of this record's log")
    line = Maintenance(
        object_kind=kind, object_id=object_id, work=work, done=text, done_us=done_us,
        recorded_us=act.now_us, by=act.actor.id, corrects_id=corrects_id,
    )  # fmt: skip
    session.add(line)
    await session.flush()
    after = {"line": line.id, "work": work, "text": text, "corrects": corrects_id}
    await record(session, act, "maintenance.create", kind, object_id, after=after)
    return line


async def log_of(session: AsyncSession, kind: str, object_id: str) -> Sequence[Maintenance]:
    """A record's log, newest work first. Raises ``NoSuch``."""
    if await session.get(LOGGED[kind], object_id) is None:
        raise NoSuch(kind, object_id)
    query = select(Maintenance).where(
        Maintenance.object_kind == kind, Maintenance.object_id == object_id
    )
    ordered = query.order_by(Maintenance.done_us.desc(), Maintenance.id).limit(MAX_LINES)
    return (await session.scalars(ordered)).all()


async def place_of(session: AsyncSession, row: Any) -> Place:
    """Where a record of this room lies: software where its server is."""
    if isinstance(row, Software):
        server = await session.get(Server, row.server_id)
        return Place(server.unit_code, row.organisation_id) if server is not None else Place()
    return Place(getattr(row, "unit_code", None), row.organisation_id)


async def running_on(session: AsyncSession, server_id: str) -> Sequence[Software]:
    """The systems on a server, by name."""
    query = select(Software).where(Software.server_id == server_id, Software.gone_us.is_(None))
    return (await session.scalars(query.order_by(Software.name, Software.id))).all()
