"""Racks, servers, software, licences; what ends soon; the log of work."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from gateway.api.common import ObjectId, UnitCode, Wanted, at
from gateway.api.files import Mnt
from gateway.api.records import act_of, one
from gateway.api.resource import Fields, Resource, add
from gateway.api.router import api_router
from gateway.door import Asker, Rooms, allow, need, rooms
from gateway.problems import documented
from registry.acts import record
from registry.rights import Place
from registry.servers import rules, service
from registry.servers.models import Licence, Maintenance, Rack, Server, Software

router = api_router(tags=["servers"])
_Reader = Annotated[Asker, Depends(need("server.read", by_object=True))]
_Everywhere = Annotated[Asker, Depends(need("server.read"))]
_Writer = Annotated[Asker, Depends(need("server.write", by_object=True))]
_Opener = Annotated[Asker, Depends(need("licence.open", by_object=True))]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_LongName = Annotated[str, Field(min_length=1, max_length=200)]
_Short = Annotated[str, Field(max_length=100)]
_Note = Annotated[str, Field(max_length=4000)]
_Units = Annotated[int, Field(ge=1, le=60, description="height units")]
_Status = Literal["planned", "active", "faulty", "retired"]
_Logged = Literal["rack", "server", "software"]
_Work = Literal["installation", "configuration", "repair", "security", "check"]
_LICENCE_KEY = "licence.key"


class _Answering(Wanted):
    """Who answers for it."""

    organisation_id: ObjectId | None = None
    person_id: ObjectId | None = None
    note: _Note = ""


class RackIn(_Answering):
    """A rack."""

    name: _Name
    room: Annotated[str, Field(max_length=200)] = ""
    unit_code: UnitCode | None = None
    height_u: _Units = 42


class RackPatch(RackIn):
    """Only the fields sent change."""

    name: _Name = "-"


class ServerIn(_Answering):
    """A machine."""

    name: _Name
    status: _Status = "active"
    rack_id: ObjectId | None = None
    position_u: _Units | None = None
    height_u: _Units = 1
    maker: _Short = ""
    model: _Short = ""
    serial: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    purpose: Annotated[str, Field(max_length=300)] = ""
    unit_code: UnitCode | None = None
    specification_id: ObjectId | None = None
    bought_on: date | None = None
    support_until: date | None = None


class ServerPatch(ServerIn):
    """Only the fields sent change."""

    name: _Name = "-"


class SoftwareIn(_Answering):
    """A system on a server."""

    name: _LongName
    server_id: ObjectId
    maker: _Short = ""
    release: _Short = ""
    status: _Status = "active"
    licence_id: ObjectId | None = None
    purpose: Annotated[str, Field(max_length=300)] = ""
    support_until: date | None = None


class SoftwarePatch(SoftwareIn):
    """Only the fields sent change."""

    name: _LongName = "-"
    server_id: ObjectId = "-"


class LicenceIn(_Answering):
    """A licence. Its key is sealed before it is stored."""

    name: _LongName
    vendor: Annotated[str, Field(max_length=200)] = ""
    contract: _Short = ""
    seats: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    key: Annotated[str | None, Field(max_length=2000, repr=False)] = None
    amount_mnt: Mnt | None = None
    valid_from: date | None = None
    valid_until: date | None = None


class LicencePatch(LicenceIn):
    """Only the fields sent change."""

    name: _LongName = "-"


class _Kept(BaseModel):
    """What every record of this room shows."""

    id: str
    name: str
    organisation_id: str | None
    person_id: str | None
    note: str
    version: int
    removed_at: str | None


class RackOut(_Kept):
    """A rack."""

    room: str
    unit_code: str | None
    height_u: int


class ServerOut(_Kept):
    """A machine."""

    status: str
    rack_id: str | None
    position_u: int | None
    height_u: int
    maker: str
    model: str
    serial: str | None
    purpose: str
    unit_code: str | None
    specification_id: str | None
    bought_on: date | None
    support_until: date | None


class SoftwareOut(_Kept):
    """A system on a server."""

    server_id: str
    maker: str
    release: str
    status: str
    licence_id: str | None
    purpose: str
    support_until: date | None


class LicenceOut(_Kept):
    """A licence, without its key."""

    vendor: str
    contract: str
    seats: int | None
    has_key: bool
    amount_mnt: int | None
    valid_from: date | None
    valid_until: date | None


class KeyOut(BaseModel):
    """A licence's key, readable."""

    key: str | None


class EndingOut(BaseModel):
    """Something whose support or licence ends; below 0 days it has ended."""

    kind: str
    id: str
    name: str
    ends_on: date
    days_left: int
    organisation_id: str | None
    person_id: str | None


class Endings(BaseModel):
    """The soonest first."""

    items: list[EndingOut]


class LineIn(Wanted):
    """Work that was done."""

    work: _Work
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    done_at: AwareDatetime | None = Field(default=None, description="unset: now")
    corrects_id: ObjectId | None = Field(default=None, description="the line this one corrects")


class LineOut(BaseModel):
    """A line of the log."""

    id: str
    work: str
    text: str
    done_at: str | None
    recorded_at: str | None
    by: str
    corrects_id: str | None


class Log(BaseModel):
    """Newest work first."""

    items: list[LineOut]


class OnIt(BaseModel):
    """What runs on a server."""

    items: list[SoftwareOut]


def _show(out: type[BaseModel], row: Any) -> BaseModel:
    values = {name: getattr(row, name) for name in out.model_fields if hasattr(row, name)}
    if "has_key" in out.model_fields:
        values["has_key"] = row.key is not None
    return out(**values, removed_at=at(row.gone_us))


def _seal_key(city: Rooms, fields: Fields) -> Fields:
    if fields.get("key") is None:
        return fields
    return {**fields, "key": city.keyring.seal(fields["key"], _LICENCE_KEY)}


async def _place(_session: Any, row: Any) -> Place:
    return await service.place_of(_session, row)


_PARTS: tuple[tuple[str, str, Any, Any, Any, Any, Any], ...] = (
    ("/racks", "rack", Rack, RackIn, RackPatch, RackOut, rules.check_rack),
    ("/servers", "server", Server, ServerIn, ServerPatch, ServerOut, rules.check_server),
    ("/software", "system", Software, SoftwareIn, SoftwarePatch, SoftwareOut, rules.check_software),
    ("/licences", "licence", Licence, LicenceIn, LicencePatch, LicenceOut, rules.check_licence),
)


@router.get(
    "/servers/ending", response_model=Endings, summary="What ends soon",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_ending(
    request: Request, asker: _Everywhere, days: Annotated[int, Query(ge=0, le=3650)] = 90
) -> Endings:
    """Support of servers and software, and licences, that ended or end within so many days."""
    async with rooms(request).database.read() as session:
        found = await service.ending(session, act_of(request, asker).today, days)
    return Endings(items=[EndingOut(**vars(one)) for one in found])


for _path, _noun, _table, _body, _patch, _out, _check in _PARTS:
    add(
        router,
        Resource(
            path=_path, noun=_noun, table=_table, body=_body, patch=_patch, out=_out,
            read="server.read", write="server.write", order=(_table.name, _table.id), check=_check,
            place=_place, show=partial(_show, _out),
            inside=(_table.unit_code,) if hasattr(_table, "unit_code") else (),
            seal=_seal_key if _table is Licence else lambda _city, fields: fields,
        ),
    )  # fmt: skip


@router.get(
    "/servers/{server_id}/software", response_model=OnIt, summary="What runs on a server",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def list_on_server(server_id: ObjectId, request: Request, asker: _Reader) -> OnIt:
    """By name."""
    async with rooms(request).database.read() as session:
        row = await one(session, Server, server_id)
        allow(asker, "server.read", await service.place_of(session, row))
        found = await service.running_on(session, server_id)
    return OnIt(items=[SoftwareOut(**_show(SoftwareOut, system).model_dump()) for system in found])


@router.post(
    "/licences/{licence_id}/open", response_model=KeyOut, summary="Read a licence's key",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def open_licence(licence_id: ObjectId, request: Request, asker: _Opener) -> KeyOut:
    """Who read it is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        row = await one(session, Licence, licence_id)
        allow(asker, "licence.open", await service.place_of(session, row))
        await record(session, act_of(request, asker), "licence.open", "licence", row.id)
    return KeyOut(key=city.keyring.open(row.key, _LICENCE_KEY) if row.key is not None else None)


def _line(row: Maintenance) -> LineOut:
    return LineOut(
        id=row.id, work=row.work, text=row.done, done_at=at(row.done_us),
        recorded_at=at(row.recorded_us), by=row.by, corrects_id=row.corrects_id,
    )  # fmt: skip


@router.get(
    "/maintenance/{kind}/{record_id}", response_model=Log, summary="A record's log of work",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_log(kind: _Logged, record_id: ObjectId, request: Request, asker: _Reader) -> Log:
    """Lines are never changed; a mistake is corrected by a further line that names it."""
    async with rooms(request).database.read() as session:
        row = await one(session, service.LOGGED[kind], record_id)
        allow(asker, "server.read", await service.place_of(session, row))
        return Log(items=[_line(line) for line in await service.log_of(session, kind, record_id)])


@router.post(
    "/maintenance/{kind}/{record_id}", status_code=201, response_model=LineOut,
    summary="Write a line of work", responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_line(
    kind: _Logged, record_id: ObjectId, body: LineIn, request: Request, asker: _Writer
) -> LineOut:
    """What was done, when; who wrote it is recorded."""
    act = act_of(request, asker)
    async with rooms(request).database.write() as session:
        row = await one(session, service.LOGGED[kind], record_id)
        allow(asker, "server.write", await service.place_of(session, row))
        line = await service.log_work(
            session, act, kind, record_id, work=body.work, text=body.text,
            done_us=_us(body.done_at) if body.done_at else act.now_us, corrects_id=body.corrects_id,
        )  # fmt: skip
    return _line(line)


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
