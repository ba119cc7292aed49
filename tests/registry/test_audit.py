"""The audit's chain: what is altered, removed, slipped in or cut off is found."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, text, update

from registry import audit
from registry.acts import Act
from registry.db import Database
from registry.models import AuditEntry
from registry.personal.redaction import ChainBroken, redact
from registry.rights import CONSOLE


async def _write(database: Database, count: int) -> None:
    for number in range(count):
        async with database.write() as session:
            await audit.append(
                session, actor=CONSOLE, action="site.change", object_kind="site",
                object_id=f"s{number}",
                now_us=1_000_000 + number, before={"title": "Хуучин", "lat": 47.9}, after={"lat": None},
            )  # fmt: skip


async def test_a_chain_that_nobody_touched_holds(database: Database) -> None:
    async with database.read() as session:
        empty = await audit.verify(session)
    assert (empty.ok, empty.entries, empty.head) == (True, 0, audit.GENESIS)
    await _write(database, 5)
    async with database.read() as session:
        verdict = await audit.verify(session)
        assert (verdict.ok, verdict.entries) == (True, 5)
        assert (await audit.verify(session, head=verdict.head)).ok


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        (update(AuditEntry).where(AuditEntry.id == 3).values(actor="somebody"), 3),
        (update(AuditEntry).where(AuditEntry.id == 3).values(after={"lat": 1.0}), 3),
        (update(AuditEntry).where(AuditEntry.id == 3).values(at_us=5), 3),
        (delete(AuditEntry).where(AuditEntry.id == 2), 3),
        (delete(AuditEntry).where(AuditEntry.id == 1), 2),
        (update(AuditEntry).where(AuditEntry.id == 5).values(hash="0" * 64), 5),
    ],
)
async def test_a_change_is_found_where_it_is(database: Database, change, broken_at: int) -> None:
    await _write(database, 5)
    async with database.write() as session:
        await session.execute(change)
    async with database.read() as session:
        verdict = await audit.verify(session)
    assert (verdict.ok, verdict.broken_at) == (False, broken_at)


async def test_a_cut_off_end_is_found_by_a_head_noted_elsewhere(database: Database) -> None:
    await _write(database, 5)
    async with database.read() as session:
        head = (await audit.verify(session)).head
    async with database.write() as session:
        await session.execute(text("DELETE FROM audit_entry WHERE id > 3"))
    async with database.read() as session:
        assert (await audit.verify(session)).ok
        verdict = await audit.verify(session, head=head)
    assert not verdict.ok
    assert "cut off" in str(verdict.reason)


@pytest.mark.servers
async def test_appenders_at_the_same_time_make_one_chain_on_postgresql(postgres_url: str) -> None:
    import asyncio

    from registry.db import Base

    database = Database(postgres_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, [AuditEntry.__table__]))
    await asyncio.gather(*(_write(database, 10) for _ in range(6)))
    async with database.read() as session:
        verdict = await audit.verify(session)
    assert (verdict.ok, verdict.entries) == (True, 60)
    await database.close()


async def test_content_that_was_taken_out_leaves_a_chain_that_holds(database: Database) -> None:
    await _write(database, 5)
    async with database.write() as session:
        assert await redact(session, Act(CONSOLE, 9), [2, 4]) == 2
    async with database.read() as session:
        verdict = await audit.verify(session)
        entry = await session.get_one(AuditEntry, 2)
    assert (verdict.ok, verdict.entries) == (True, 6)
    assert (entry.before, entry.after, entry.salt) == ({"erased": True}, {"erased": True}, None)
    assert (entry.action, entry.object_id) == ("site.change", "s1"), "who did what stays"
    async with database.write() as session:
        assert await redact(session, Act(CONSOLE, 10), [2, 4]) == 0, "nothing is left to take out"


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        # nobody ordered it: content and salt are gone, and no entry vouches for it
        (update(AuditEntry).where(AuditEntry.id == 3).values(after=None, redacted_us=1), 3),
        # an entry that was redacted is altered afterwards
        (update(AuditEntry).where(AuditEntry.id == 2).values(actor="somebody"), 2),
        (update(AuditEntry).where(AuditEntry.id == 2).values(after={"lat": 1.0}), 2),
        # the entry that vouches is altered, or gone
        (update(AuditEntry).where(AuditEntry.id == 6).values(after={"entries": {}}), 6),
        (delete(AuditEntry).where(AuditEntry.id == 6), 2),
    ],
)
async def test_a_redaction_that_nobody_vouches_for_is_found(
    database: Database, change, broken_at: int
) -> None:
    await _write(database, 5)
    async with database.write() as session:
        await redact(session, Act(CONSOLE, 9), [2])
    async with database.write() as session:
        await session.execute(change)
    async with database.read() as session:
        verdict = await audit.verify(session)
    assert (verdict.ok, verdict.broken_at) == (False, broken_at)


async def test_an_entry_that_somebody_altered_is_not_redacted(database: Database) -> None:
    await _write(database, 3)
    async with database.write() as session:
        await session.execute(update(AuditEntry).where(AuditEntry.id == 2).values(actor="somebody"))
    async with database.write() as session:
        with pytest.raises(ChainBroken):
            await redact(session, Act(CONSOLE, 9), [1, 2])
        await session.rollback()


async def test_the_origin_alone_can_be_taken_out(database: Database) -> None:
    async with database.write() as session:
        await audit.append(
            session, actor=CONSOLE, action="session.open", object_kind="person", object_id="p1",
            now_us=1, origin="10.1.2.3", after={"by": "setup code"},
        )  # fmt: skip
    async with database.write() as session:
        await redact(session, Act(CONSOLE, 9), [1], origin_only=True)
    async with database.write() as session:
        await redact(session, Act(CONSOLE, 10), [1])
    async with database.read() as session:
        entry = await session.get_one(AuditEntry, 1)
        assert (entry.origin, entry.after) == ("", {"erased": True})
        assert (await audit.verify(session)).ok, "the later entry vouches for what the first does not"
