"""Long files: written in short transactions, and as a whole taken back where one of them fails."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from registry import audit, editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.importing import service, writing
from registry.importing.models import ImportRow, RegisterImport
from registry.importing.readers import read_sheet
from registry.importing.service import Interfered, get_import, import_bytes, take, upload
from registry.importing.undo import take_back, undo
from registry.rights import CONSOLE
from registry.search.find import search
from registry.search.models import SearchWord
from registry.search.reindex import reindex
from registry.sites import Conflict

NOW_US = 1_700_000_000_000_000
ACT = Act(CONSOLE, NOW_US, "console")
FILE = ("Дугаар;Нэр;MAC хаяг\n" + "".join(
    f"P-{n};Өргөө {n};02:00:00:00:00:{n:02x}\n" for n in range(1, 8))).encode()  # fmt: skip


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 2)
    monkeypatch.setattr(writing, "CHUNK", 2)


async def _take(database: Any, keyring: Any, content: bytes = FILE, **options: Any) -> Any:
    sheet = read_sheet(content, "a.csv")
    return await import_bytes(database, keyring, ACT, "cameras", "a.csv", content, sheet, **options)


async def _living(database: Any) -> dict[str, str]:
    async with database.read() as session:
        rows = await session.scalars(select(Camera).where(Camera.gone_us.is_(None)))
        return {row.number: row.name for row in rows}


def _stumbling(monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> None:
    """Before the third chunk is written, something happens."""
    original, calls = writing.Writer.write, []

    async def write(self: Any, session: Any, ready: Any, *, checked: bool) -> None:
        calls.append(ready)
        if len(calls) == 3:
            await meanwhile(session)
        await original(self, session, ready, checked=checked)

    monkeypatch.setattr(writing.Writer, "write", write)


async def test_a_long_file_is_there_whole_told_step_by_step_and_undone_as_one(
    database, keyring
) -> None:
    told: list[tuple[str, int, int]] = []
    plan, import_id = await _take(database, keyring, progress=lambda *step: told.append(step))
    assert plan.counts["create"] == 7 and len(await _living(database)) == 7
    assert [step for step in told if step[0] == "write"] == [
        ("write", 2, 7), ("write", 4, 7), ("write", 6, 7), ("write", 7, 7),
    ]  # fmt: skip
    async with database.write() as session:
        record = await get_import(session, import_id)
        assert record.state == "applied" and (await audit.verify(session)).ok
        done = await undo(session, ACT, record, confirmed=False)
    assert done.undone == 7 and await _living(database) == {}


async def test_where_somebody_enters_the_same_camera_meanwhile_nothing_is_half_taken(
    database, keyring, monkeypatch
) -> None:
    async def enter(session: Any) -> None:
        other = Camera(number="P-6", name="Бусдынх", privacy_masks=[], created_us=0)
        await editing.create(session, ACT, other)

    async with database.write() as session:
        record = await upload(session, keyring, ACT, "cameras", "a.csv", FILE)
    _stumbling(monkeypatch, enter)
    with pytest.raises(Interfered, match="import the file again"):
        await take(database, keyring, ACT, record.id, read_sheet(FILE, "a.csv"))
    assert await _living(database) == {}
    async with database.read() as session:
        kept = await get_import(session, record.id)
        assert (kept.state, kept.content is not None) == ("uploaded", True)
        assert await session.scalar(select(func.count()).select_from(ImportRow)) == 0
        assert (await audit.verify(session)).ok
    monkeypatch.undo()
    _, plan = await take(database, keyring, ACT, record.id, read_sheet(FILE, "a.csv"))
    assert plan.holds and len(await _living(database)) == 7


async def test_an_edit_between_plan_and_writing_is_not_written_over(
    database, keyring, monkeypatch
) -> None:
    await _take(database, keyring)

    async def edit(session: Any) -> None:
        camera = await session.scalar(select(Camera).where(Camera.number == "P-6"))
        await editing.change(session, ACT, camera, {"note": "шалгасан"})

    _stumbling(monkeypatch, edit)
    renamed = FILE.decode().replace("Өргөө", "Төв").encode()
    with pytest.raises(Interfered):
        await _take(database, keyring, renamed)
    assert set(await _living(database)) == {f"P-{n}" for n in range(1, 8)}
    assert all(name.startswith("Өргөө") for name in (await _living(database)).values())


async def test_what_a_crash_left_behind_is_taken_back_when_it_is_surely_over(database, keyring) -> None:
    _, import_id = await _take(database, keyring)
    async with database.write() as session:
        await session.execute(update(RegisterImport).values(state="applying"))
    later = Act(CONSOLE, NOW_US + 3_600_000_000, "console")
    async with database.write() as session:
        record = await get_import(session, import_id)
        with pytest.raises(Conflict):
            await undo(session, ACT, record, confirmed=True)
        done = await undo(session, later, record, confirmed=True)
    assert done.undone == 7 and await _living(database) == {}
    await take_back(database, ACT, "no such import")


async def test_records_without_words_are_found_again_after_a_reindex(database, keyring) -> None:
    await _take(database, keyring)
    async with database.write() as session:
        await session.execute(delete(SearchWord))
        await session.execute(update(Camera).values(search_text="", sort_key=""))
        assert await search(session, CONSOLE, "оргоо") == []
    assert (await reindex(database, missing_only=True))["camera"] == 7
    assert (await reindex(database, missing_only=True))["camera"] == 0
    async with database.read() as session:
        assert [hit.title for hit in await search(session, CONSOLE, "оргоо")][:2] == ["P-1", "P-2"]
        #: its first letter is wrong as well
        assert len(await search(session, CONSOLE, "аргоо 3")) == 1
        camera = await session.scalar(select(Camera))
        assert camera is not None and camera.version == 1
    assert (await reindex(database))["camera"] == 7
