"""A list of alarms that the city never heard of ends as the same alarms do one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from alerts import incidents, listed
from alerts.models import AlarmRecord, Delivery, Incident, IncidentEntry, Notification
from edge.wire.clock import US_PER_S
from edge.wire.identity import detector_id
from edge.wire.messages import Alarm, AlarmKind, Snapshot
from registry.db import Database
from registry.models import Contact, ContactChannel, Detector, Household, Site
from tests.alerts.city import NIGHT_US, Town, open_town

HOMES = 12
KINDS: tuple[AlarmKind, ...] = ("low_battery", "smoke", "co", "lost")


async def fill(town: Town) -> None:
    """Homes of one person each; every third detector is of no home."""
    async with town.database.write() as session:
        session.add(Site(id="s", created_us=0))
        await session.flush()
        for number in range(HOMES):
            home = None if number % 3 == 2 else f"home-{number}"
            if home is not None:
                session.add(Household(id=home, label=home, site_id="s", created_us=0))
                await session.flush()
                name = town.keyring.seal("Нэр", "contact.name")
                session.add(Contact(id=f"{home}-c", household_id=home, position=0, name=name))
                await session.flush()
                session.add(
                    ContactChannel(
                        id=f"{home}-m", contact_id=f"{home}-c", channel="email",
                        address=town.keyring.seal("a@example.mn", "contact_channel.address"),
                        address_fingerprint=home,
                    )
                )  # fmt: skip
            session.add(
                Detector(
                    id=detector_id("s", "native", f"d{number}"), site_id="s", source="native",
                    address=f"d{number}", household_id=home,
                )
            )  # fmt: skip


def snapshot(*, raised_us: int) -> Snapshot:
    """Each detector has an alarm three days old."""
    alarms = [
        Alarm(
            id=f"a{number}", kind=KINDS[number % len(KINDS)],
            detector=detector_id("s", "native", f"d{number}"), raised_us=raised_us + number,
            revision=1, reason="r",
        )
        for number in range(HOMES)
    ]  # fmt: skip
    return Snapshot(
        site="s", epoch="e", last_seq=HOMES, nonce="n", at_us=raised_us + US_PER_S,
        active=alarms, age_ms={alarm.id: 3 * 24 * 3600 * 1000 for alarm in alarms},
    )  # fmt: skip


async def written(database: Database) -> list[Any]:
    """Everything that is there, without the ids that are drawn."""
    async with database.read() as session:
        alarms = (await session.execute(select(AlarmRecord))).scalars().all()
        rows = []
        for alarm in sorted(alarms, key=lambda one: one.id):
            incident = await session.get_one(Incident, alarm.incident_id)
            of_it = incident.id
            story = await session.scalars(
                select(IncidentEntry)
                .where(IncidentEntry.incident_id == of_it)
                .order_by(IncidentEntry.id)
            )
            told = await session.execute(
                select(Notification.message, Notification.contact_id, Delivery.due_us, Delivery.state)
                .join(Delivery, Delivery.notification_id == Notification.id)
                .where(Notification.incident_id == of_it)
                .order_by(Notification.contact_id)
            )
            rows.append(
                (alarm.id, alarm.epoch, alarm.revision, alarm.history, incident.state, incident.hazard,
                 incident.subject_id, incident.raised_us, incident.next_rung_us, incident.episode,
                 [(one.what, one.actor, one.detail) for one in story], [tuple(row) for row in told])
            )  # fmt: skip
        return rows


@pytest.mark.parametrize("raised_us", [NIGHT_US, 5])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_list_of_news_ends_as_its_alarms_do_one_by_one(
    tmp_path: Path, raised_us: int, whole: bool
) -> None:
    ends = []
    for name, apply in (("together", listed.apply_snapshot), ("alone", incidents.apply_snapshot)):
        database = Database(f"sqlite:///{tmp_path / name}.db")
        try:
            await fill(await open_town(database, contacts=False))
            for _ in range(2):  # the second time nothing is news
                async with database.write() as session:
                    await apply(
                        session, snapshot=snapshot(raised_us=raised_us), now_us=NIGHT_US + US_PER_S,
                        new_epoch=True, whole=whole,
                    )  # fmt: skip
            ends.append(await written(database))
        finally:
            await database.close()
    assert len(ends[0]) == HOMES
    assert ends[0] == ends[1]
