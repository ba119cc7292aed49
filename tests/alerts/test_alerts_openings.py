"""A batch of alarms ends as the same alarms do one by one, on both databases."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from alerts import incidents
from alerts.models import (
    AlarmEpoch,
    AlarmRecord,
    Delivery,
    Incident,
    IncidentEntry,
    Notification,
)
from alerts.openings import Said, apply_alarms
from edge.wire.clock import US_PER_S
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, AlarmKind, Snapshot
from registry.db import Database
from registry.models import Contact, ContactChannel, Detector, Household, Site
from tests.alerts.city import NIGHT_US, Town, open_town

HOMES, SITES = 4, 2
KINDS: tuple[AlarmKind, ...] = ("smoke", "heat", "co", "low_battery", "co_exposure")
#: Two cities of the same people: one hears batches, the other one event after the other.
Twins = tuple[Database, Database]
#: home, alarm of it, kind, clear, revision, age in s, epoch
Word = tuple[int, int, int, bool, int, int, int]
WORDS = st.lists(
    st.tuples(
        st.integers(0, HOMES), st.integers(0, 2), st.integers(0, 4),
        st.sampled_from([False, False, False, True]), st.integers(1, 3),
        st.sampled_from([0, 0, 0, 5, 4000]), st.integers(0, 1),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


async def fill(town: Town) -> None:
    """Homes of 0, 1, 2 and 3 people; the detector after the last one is of no home."""
    async with town.database.write() as session:
        for number in range(SITES):
            session.add(Site(id=f"s{number}", created_us=0))
        await session.flush()
        for number in range(HOMES + 1):
            site = f"s{number % SITES}"
            home = f"home-{number}" if number < HOMES else None
            if home is not None:
                session.add(Household(id=home, label=home, site_id=site, created_us=0))
                await session.flush()
                for position in range(number):
                    person = f"{home}-{position}"
                    session.add(
                        Contact(
                            id=person, household_id=home, position=position,
                            name=town.keyring.seal("Нэр", "contact.name"),
                            away_until_us=2 * NIGHT_US if position == 0 else None,
                        )
                    )  # fmt: skip
                    await session.flush()
                    session.add(
                        ContactChannel(
                            id=f"{person}-m", contact_id=person, channel="email",
                            address=town.keyring.seal("a@example.mn", "contact_channel.address"),
                            address_fingerprint=person,
                        )
                    )  # fmt: skip
            session.add(
                Detector(
                    id=detector_id(site, "native", f"d{number}"), site_id=site, source="native",
                    address=f"d{number}", household_id=home,
                )
            )  # fmt: skip


def event(word: Word, number: int) -> Said:
    home, alarm, kind, clear, revision, age_s, epoch = word
    site = f"s{home % SITES}"
    raised_us = NIGHT_US + alarm * 7 * US_PER_S
    told = Alarm(
        id=f"{home}-{alarm}", kind=KINDS[kind], detector=detector_id(site, "native", f"d{home}"),
        raised_us=raised_us, revision=revision, reason="r",
        cleared_us=raised_us + 60 * US_PER_S if clear else None,
    )  # fmt: skip
    return Said(site, f"{site}-{epoch}", told, "clear" if clear else "raise", age_s * 1000, True)


async def forget(database: Database) -> None:
    async with database.write() as session:
        for table in (Delivery, Notification, IncidentEntry, AlarmRecord, Incident, AlarmEpoch):
            await session.execute(delete(table))


async def story_of(database: Database) -> list[Any]:
    """Everything that was written, without the ids that are drawn."""
    async with database.read() as session:
        told = await session.execute(
            select(Notification, Delivery).join(Delivery, Delivery.notification_id == Notification.id)
        )
        by_incident: dict[str, list[Any]] = {}
        for note, sent in told:
            by_incident.setdefault(note.incident_id, []).append(
                (note.contact_id, note.episode, note.rung, note.message, note.language, note.values,
                 note.created_us, sent.channel_id, sent.channel, sent.priority, sent.state,
                 sent.attempts, sent.due_us, sent.first_due_us, sent.queued_us)
            )  # fmt: skip
        entries: dict[str, list[Any]] = {}
        for line in await session.scalars(select(IncidentEntry).order_by(IncidentEntry.id)):
            entries.setdefault(line.incident_id, []).append((line.at_us, line.what, line.detail))
        alarms: dict[str | None, list[Any]] = {}
        for record in await session.scalars(select(AlarmRecord).order_by(AlarmRecord.id)):
            alarms.setdefault(record.incident_id, []).append(columns(record, "incident_id"))
        return sorted(
            (
                columns(one, "id"), alarms.get(one.id), entries.get(one.id),
                sorted(by_incident.get(one.id, []), key=repr),
            )
            for one in await session.scalars(select(Incident))
        )  # fmt: skip


def columns(row: Any, without: str) -> str:
    return repr([(c.key, getattr(row, c.key)) for c in row.__table__.columns if c.key != without])


async def both(databases: Twins, batches: Sequence[Sequence[Said]], snapshot: bool) -> None:
    together, single = databases
    for database in databases:
        await forget(database)
    for number, batch in enumerate(batches):
        now_us = NIGHT_US + (number + 1) * 30 * US_PER_S
        async with together.write() as session:
            results = await apply_alarms(session, batch, now_us=now_us)
        expected = []
        async with single.write() as session:
            for one in batch:
                expected.append(
                    await incidents.apply_alarm(
                        session, site_id=one.site_id, epoch=one.epoch, alarm=one.alarm,
                        transition=one.transition, age_ms=one.age_ms,
                        clock_synced=one.clock_synced, now_us=now_us,
                    )
                )  # fmt: skip
        assert [(r.changed, r.opened, r.notified) for r in results] == [
            (r.changed, r.opened, r.notified) for r in expected
        ]
        if snapshot:
            for database in databases:
                await list_nothing(database, "s0-1", now_us)
    assert await story_of(together) == await story_of(single)


async def list_nothing(database: Database, epoch: str, now_us: int) -> None:
    """A snapshot of an epoch that closes what older ones left open."""
    told = Snapshot(site="s0", epoch=epoch, nonce=new_id(), at_us=now_us, last_seq=0, active=[])
    async with database.write() as session:
        await incidents.apply_snapshot(session, snapshot=told, now_us=now_us, new_epoch=False)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def twins(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    folder: Path = tmp_path_factory.mktemp("twins")
    first = Database(f"sqlite:///{folder / 'first.sqlite'}")
    runner.run(_open(first))
    runner.run(first.close())
    shutil.copy(folder / "first.sqlite", folder / "second.sqlite")
    pair = (Database(first.url), Database(f"sqlite:///{folder / 'second.sqlite'}"))
    yield pair
    for one in pair:
        runner.run(one.close())


async def _open(database: Database) -> Town:
    town = await open_town(database, contacts=False)
    await fill(town)
    return town


@settings(
    max_examples=30, deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@example(words=[[(2, 0, 0, False, 1, 0, 0)], [(2, 1, 1, False, 1, 0, 0)]], snapshot=False)
@example(words=[[(2, 0, 0, False, 1, 0, 0), (2, 1, 0, False, 1, 0, 0)]], snapshot=False)
@example(
    words=[[(2, 0, 0, False, 1, 0, 0)], [(2, 0, 0, True, 2, 0, 0)], [(2, 1, 0, False, 1, 0, 0)]],
    snapshot=False,
)
@example(words=[[(2, 0, 0, False, 1, 0, 0)], [(2, 1, 2, False, 1, 0, 0)]], snapshot=True)
@example(words=[[(3, 0, 3, False, 1, 0, 0)], [(3, 0, 3, False, 1, 0, 0)]], snapshot=True)
@given(words=st.lists(WORDS, min_size=1, max_size=4), snapshot=st.booleans())
def test_a_batch_ends_as_the_same_alarms_do_one_by_one(
    runner: asyncio.Runner, twins: Twins, words: list[list[Word]], snapshot: bool
) -> None:
    batches = [[event(word, n) for n, word in enumerate(batch)] for batch in words]
    runner.run(both(twins, batches, snapshot))


def raises(homes: Sequence[int]) -> list[Said]:
    return [event((home, 0, 0, False, 1, 0, 0), 0) for home in homes]


async def test_a_plain_batch_opens_an_incident_for_each_home(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'city.sqlite'}")
    await _open(database)
    async with database.write() as session:
        applied = await apply_alarms(session, raises([1, 2, 3]), now_us=NIGHT_US)
        again = await apply_alarms(session, raises([3, 2, 1]), now_us=NIGHT_US)
    assert [(one.opened, one.notified) for one in applied] == [(True, 1), (True, 2), (True, 3)]
    assert [one.changed for one in again] == [False] * 3
    assert [one.incident_id for one in again] == [one.incident_id for one in reversed(applied)]
    await database.close()


async def test_two_workers_with_the_same_batch_open_each_incident_once(postgres_url: str) -> None:
    databases = [Database(postgres_url), Database(postgres_url)]
    await _open(databases[0])

    async def tell(database: Database) -> list[incidents.Applied]:
        async with database.write() as session:
            return await apply_alarms(session, raises([1, 2, 3]), now_us=NIGHT_US)

    first, second = await asyncio.gather(*map(tell, databases))
    opened = [a.opened + b.opened for a, b in zip(first, second, strict=True)]
    assert opened == [1, 1, 1]
    async with databases[0].read() as session:
        notes = list(await session.scalars(select(Notification.contact_id)))
    assert len(notes) == len(set(notes)) == 6
    for database in databases:
        await database.close()
