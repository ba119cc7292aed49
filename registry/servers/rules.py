"""What contradicts the register: names taken, things that do not exist, two machines in one unit."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.models import Organisation, Person
from registry.servers.models import Licence, Rack, Server, Software
from registry.sites import Conflict, NoSuch
from registry.specifications.models import Specification

STATUSES: Final = ("planned", "active", "faulty", "retired")
_REFERENCES: Final[dict[str, Any]] = {
    "organisation_id": Organisation, "person_id": Person, "rack_id": Rack, "server_id": Server,
    "licence_id": Licence, "specification_id": Specification,
}  # fmt: skip


async def check_references(session: AsyncSession, fields: dict[str, Any]) -> None:
    """Raises ``NoSuch`` for the first named record that does not exist."""
    for name, table in _REFERENCES.items():
        if (wanted := fields.get(name)) is not None and await session.get(table, wanted) is None:
            raise NoSuch(name.removesuffix("_id"), wanted)


async def check_name(
    session: AsyncSession, row: Any, table: Any, fields: dict[str, Any], *beside: str
) -> None:
    """Raises ``Conflict`` when another living record has this name (``beside``: and these columns)."""
    if not {"name", *beside} & set(fields):
        return

    def value(name: str) -> Any:
        return fields.get(name, getattr(row, name, None))

    query = select(table.id).where(table.gone_us.is_(None))
    for name in ("name", *beside):
        query = query.where(getattr(table, name) == value(name))
    if row is not None:
        query = query.where(table.id != row.id)
    if await session.scalar(query.limit(1)) is not None:
        raise Conflict("name", f"there is a {table.__tablename__} called {value('name')!r} already")


async def check_rack(session: AsyncSession, row: Rack | None, fields: dict[str, Any]) -> None:
    """A rack as it shall be. Raises ``NoSuch``, ``Conflict``."""
    await check_references(session, fields)
    await check_name(session, row, Rack, fields)


async def check_licence(session: AsyncSession, row: Licence | None, fields: dict[str, Any]) -> None:
    """A licence as it shall be. Raises ``NoSuch``, ``Conflict``."""
    await check_references(session, fields)
    await check_name(session, row, Licence, fields)
    first = fields.get("valid_from", getattr(row, "valid_from", None))
    last = fields.get("valid_until", getattr(row, "valid_until", None))
    if first is not None and last is not None and last < first:
        raise Conflict("valid_until", "it ends before it begins")


async def check_software(session: AsyncSession, row: Software | None, fields: dict[str, Any]) -> None:
    """Software as it shall be. Raises ``NoSuch``, ``Conflict``."""
    await check_references(session, fields)
    await check_name(session, row, Software, fields, "server_id")


async def check_server(session: AsyncSession, row: Server | None, fields: dict[str, Any]) -> None:
    """A server as it shall be: no other machine in its units of the rack. As the others raise."""
    await check_references(session, fields)
    await check_name(session, row, Server, fields)
    await _check_serial(session, row, fields)

    def value(name: str, otherwise: Any = None) -> Any:
        return fields.get(name, getattr(row, name, otherwise))

    rack_id, low = value("rack_id"), value("position_u")
    if rack_id is None or low is None:
        return
    high = low + (value("height_u", 1) or 1) - 1
    rack = await session.get(Rack, rack_id)
    if rack is not None and high > rack.height_u:
        raise Conflict("position_u", f"the rack has {rack.height_u} units")
    beside = select(Server).where(
        Server.rack_id == rack_id, Server.gone_us.is_(None), Server.status != "retired",
        Server.position_u.is_not(None), Server.position_u <= high,
    )  # fmt: skip
    for other in await session.scalars(beside):
        own = row is not None and other.id == row.id
        if not own and (other.position_u or 0) + other.height_u - 1 >= low:
            raise Conflict("position_u", f"{other.name!r} is in units {other.position_u} and up")


async def _check_serial(session: AsyncSession, row: Server | None, fields: dict[str, Any]) -> None:
    serial = fields.get("serial", getattr(row, "serial", None))
    if serial is None or not {"serial", "maker"} & set(fields):
        return
    maker = fields.get("maker", getattr(row, "maker", ""))
    query = select(Server.name).where(
        Server.maker == maker, Server.serial == serial, Server.gone_us.is_(None)
    )
    if row is not None:
        query = query.where(Server.id != row.id)
    if (twin := await session.scalar(query.limit(1))) is not None:
        raise Conflict("serial", f"{twin!r} has this maker and serial number already")
