"""A town for tests: its register, and short words for what its edges say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import select

from alerts import incidents
from alerts.channels.base import Message, Outcome
from alerts.models import AlarmRecord, Attempt, Delivery, Incident, IncidentEntry, Notification
from alerts.policy import DEFAULT_POLICY, Policy
from alerts.settings import SmtpSettings, WorkerSettings
from alerts.worker import Worker
from edge.wire.clock import US_PER_S, Clock, ManualClock
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, AlarmKind, Snapshot, Transition
from registry.db import Database
from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.sealed import Keyring
from tests.made import make_tables

T = TypeVar("T")

SITE = "ger-1"
EPOCH = "epoch-1"
#: 2026-01-31 03:12 in Ulaanbaatar: the middle of the night.
NIGHT_US = 1_769_800_320 * US_PER_S
#: 2026-01-31 10:00 in Ulaanbaatar.
DAY_US = 1_769_824_800 * US_PER_S
ADDRESS = "Сонгинохайрхан, 24-р хороо, Толгойт 12-45"
MAILS = ("bat@example.mn", "tsetseg@example.mn")


@dataclass
class Town:
    """A database with a household in it, and a clock."""

    database: Database
    keyring: Keyring
    clock: ManualClock
    detector: str
    household_id: str
    policy: Policy = DEFAULT_POLICY
    contacts: list[str] = field(default_factory=list)

    async def alarm(
        self,
        alarm_id: str = "a1",
        kind: AlarmKind = "smoke",
        *,
        raised_us: int | None = None,
        cleared_us: int | None = None,
        revision: int = 1,
        transition: Transition = "raise",
        age_ms: int | None = 0,
        site: str = SITE,
        epoch: str = EPOCH,
        detector: str | None = None,
        clock_synced: bool = True,
        **fields: Any,
    ) -> incidents.Applied:
        """Apply one event in a transaction of its own."""
        alarm = Alarm(
            id=alarm_id,
            kind=kind,
            detector=detector or self.detector,
            raised_us=self.clock.now_us() if raised_us is None else raised_us,
            cleared_us=cleared_us,
            revision=revision,
            reason="optical density",
            **fields,
        )
        async with self.database.write() as session:
            return await incidents.apply_alarm(
                session,
                site_id=site,
                epoch=epoch,
                alarm=alarm,
                transition=transition,
                age_ms=age_ms,
                clock_synced=clock_synced,
                now_us=self.clock.now_us(),
                policy=self.policy,
            )

    async def snapshot(
        self, *active: Alarm, epoch: str = EPOCH, at_us: int | None = None, new_epoch: bool = False
    ) -> list[incidents.Applied]:
        """Apply a snapshot in a transaction of its own."""
        now_us = self.clock.now_us()
        snapshot = Snapshot(
            site=SITE,
            epoch=epoch,
            nonce=new_id(),
            at_us=now_us if at_us is None else at_us,
            last_seq=0,
            active=list(active),
        )
        async with self.database.write() as session:
            return await incidents.apply_snapshot(
                session, snapshot=snapshot, now_us=now_us, new_epoch=new_epoch, policy=self.policy
            )

    async def all(self, model: type[T]) -> Sequence[T]:
        """All rows of a table, in order of their key."""
        async with self.database.read() as session:
            key = model.__table__.primary_key.columns[0]  # type: ignore[attr-defined]
            return (await session.scalars(select(model).order_by(key))).all()

    async def incident(self, incident_id: str | None = None) -> Incident:
        """The incident; the only one if none is named."""
        async with self.database.read() as session:
            query = select(Incident)
            if incident_id is not None:
                query = query.where(Incident.id == incident_id)
            return (await session.scalars(query)).one()

    async def record(self, alarm_id: str) -> AlarmRecord:
        async with self.database.read() as session:
            found = await session.get(AlarmRecord, alarm_id)
            assert found is not None
            return found

    async def story(self) -> list[str]:
        """What happened to the incidents, in order."""
        return [entry.what for entry in await self.all(IncidentEntry)]

    async def told(self) -> list[tuple[str, int, int]]:
        """(message, episode, rung) of every notification, sorted."""
        return sorted((n.message, n.episode, n.rung) for n in await self.all(Notification))

    async def states(self) -> list[str]:
        """The states of all deliveries, sorted."""
        return sorted(delivery.state for delivery in await self.all(Delivery))

    async def attempts(self) -> list[tuple[int, str | None, str | None]]:
        return sorted((a.number, a.outcome, a.reason) for a in await self.all(Attempt))

    def worker(self, *channels: Any, clock: Clock | None = None, **options: Any) -> Worker:
        """A worker over these channels."""
        return Worker(
            self.database,
            {channel.name: channel for channel in channels},
            clock or self.clock,
            options.pop("settings", WorkerSettings(poll_s=0.05, grace_s=5)),
            keyring=self.keyring,
            policy=self.policy,
            **options,
        )

    async def add_contact(
        self,
        *addresses: str,
        channel: str = "email",
        position: int = 9,
        language: str = "mn",
        role: str = "resident",
        unit_code: str | None = None,
        name: str = "Нэр",
        **wishes: Any,
    ) -> str:
        """One more contact with these addresses; one on duty is of no household."""
        async with self.database.write() as session:
            contact = Contact(
                id=new_id(),
                household_id=self.household_id if role in ("resident", "neighbour") else None,
                language=language,
                position=position,
                role=role,
                unit_code=unit_code,
                name=self.keyring.seal(name, "contact.name"),
                **wishes,
            )
            session.add(contact)
            await session.flush()
            for address in addresses:
                session.add(
                    ContactChannel(
                        contact_id=contact.id,
                        channel=channel,
                        address=self.keyring.seal(address, "contact_channel.address"),
                        address_fingerprint=self.keyring.fingerprint(
                            address, "contact_channel.address"
                        ).hex(),
                    )
                )
        self.contacts.append(contact.id)
        return contact.id


class ScriptedChannel:
    """A channel that answers as it is told, and keeps what it was given."""

    def __init__(
        self, *outcomes: Outcome | Exception, name: str = "email", concurrency: int = 4
    ) -> None:
        self.name = name
        self.concurrency = concurrency
        self.timeout_s = 5.0
        self.sent: list[Message] = []
        self._outcomes = list(outcomes)

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        outcome = self._outcomes.pop(0) if self._outcomes else Outcome("accepted", "accepted", "250 ok")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        pass


def mail_settings(server: Any, **options: Any) -> SmtpSettings:
    """Settings for a mail server of the tests."""
    security = "starttls" if server.starttls else "none"
    ca_file = server.certificate if server.starttls else None
    return SmtpSettings(
        host=server.host, port=server.port, security=security, ca_file=ca_file,
        from_address="utaa@example.mn", **options,
    )  # fmt: skip


async def open_town(database: Database, *, contacts: bool = True) -> Town:
    """Make the tables and the household."""
    import alerts.models  # noqa: F401  # its tables

    await make_tables(database)
    keyring = Keyring({"k001": b"\1" * 32})
    clock = ManualClock(NIGHT_US)
    detector = detector_id(SITE, "native", "kitchen")
    async with database.write() as session:
        session.add(Site(id=SITE, title="Толгойт", unit_code="111624", created_us=NIGHT_US))
        await session.flush()
        household = Household(
            id=new_id(),
            label="SK24-0012",
            site_id=SITE,
            unit_code="111624",
            address=keyring.seal(ADDRESS, "household.address"),
            created_us=NIGHT_US,
        )
        session.add(household)
        await session.flush()
        session.add(
            Detector(
                id=detector,
                site_id=SITE,
                source="native",
                address="kitchen",
                status="in_service",
                household_id=household.id,
                place="гал тогоо",
            )
        )
    town = Town(database, keyring, clock, detector, household.id)
    if contacts:
        for position, address in enumerate(MAILS, 1):
            await town.add_contact(address, position=position)
    return town
