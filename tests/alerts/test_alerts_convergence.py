"""Any interleaving of an edge's messages ends the same, and nobody is forgotten on the way.

A drawn edge lives through epochs: it raises, updates and clears alarms, says snapshots, loses its spool
and begins a new epoch. Its messages then arrive in two drawn orders, repeated at will, those of a lost
spool partly never, with people acknowledging, resolving and abandoning in between. An edge's first
snapshot of an epoch begins before its other messages, as the link guarantees; a long one comes in
parts. Then it burns again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents, openings
from alerts.models import AlarmRecord, Incident, Notification
from alerts.records import is_active
from edge.wire.clock import US_PER_S
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, AlarmKind, Snapshot
from registry.db import Database
from registry.models import Contact, Detector, Household, Site
from tests.alerts.city import NIGHT_US, Town, open_town

KINDS: tuple[AlarmKind, ...] = ("smoke", "heat", "co", "low_battery", "co_exposure")
MAX_EXAMPLES = 60


class Said(NamedTuple):
    """One message of the edge: an alarm's event or a snapshot."""

    epoch: int
    alarm: Alarm | None = None
    snapshot: tuple[Alarm, ...] | None = None
    at_us: int = 0
    first: bool = False
    #: with it the snapshot is complete; an earlier part of it lists what is in it
    whole: bool = True


class Life(NamedTuple):
    """Everything an edge said, and what is true in the end."""

    said: list[Said]
    epochs: int
    active: frozenset[str]


class _Edge:
    """Says what a real one would, about alarms ``a0``, ``a1``, … of one detector."""

    def __init__(self) -> None:
        self.now_us = NIGHT_US
        self.active: dict[str, Alarm] = {}
        self.said: list[Said] = []
        self.minted = 0
        self.epoch = 0
        self._snapshot(first=True)

    def step(self, what: str, pick: int, gap_s: int) -> None:
        self.now_us += gap_s * US_PER_S
        if what == "raise":
            alarm = Alarm(
                id=f"a{self.minted}", kind=KINDS[pick % len(KINDS)], detector="", revision=1,
                raised_us=self.now_us, reason="r",
            )  # fmt: skip
            self.minted += 1
            self._say(alarm)
        elif what == "snapshot":
            self._snapshot()
        elif what == "lose_spool":
            kept = pick % 2  # some edges know their alarms again, most do not
            self.active = {name: a for name, a in self.active.items() if kept}
            self.epoch += 1
            self._snapshot(first=True)
        elif self.active:
            alarm = self.active[sorted(self.active)[pick % len(self.active)]]
            cleared_us = self.now_us if what == "clear" else None
            self._say(_next(alarm, cleared_us, float(pick)))

    def _say(self, alarm: Alarm) -> None:
        self.active[alarm.id] = alarm
        if alarm.cleared_us is not None:
            del self.active[alarm.id]
        self.said.append(Said(self.epoch, alarm=alarm, at_us=self.now_us))

    def _snapshot(self, *, first: bool = False) -> None:
        self.said.append(
            Said(self.epoch, snapshot=tuple(self.active.values()), at_us=self.now_us, first=first)
        )


def _next(alarm: Alarm, cleared_us: int | None, peak: float) -> Alarm:
    return Alarm(
        id=alarm.id, kind=alarm.kind, detector=alarm.detector, raised_us=alarm.raised_us,
        revision=alarm.revision + 1, reason="r", cleared_us=cleared_us, peak={"co_ppm": peak},
    )  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> Life:
    edge = _Edge()
    steps = st.tuples(
        st.sampled_from(
            ["raise", "raise", "raise", "clear", "clear", "update", "snapshot", "lose_spool"]
        ),
        st.integers(0, 9),
        st.sampled_from([1, 20, 400, 4000]),
    )
    for what, pick, gap_s in draw(st.lists(steps, min_size=1, max_size=12)):
        edge.step(what, pick, gap_s)
    return Life(edge.said, edge.epoch + 1, frozenset(edge.active))


def arrival(life: Life, lost: set[int], chance: random.Random) -> list[Said]:
    """The messages in a possible order: repeated, mixed, an epoch's first snapshot before its rest."""
    mixed: list[tuple[float, Said]] = []
    opened: dict[int, float] = {}
    for number, said in enumerate(life.said):
        if said.first:
            opened[said.epoch] = max([number * 0.7, *(at + 0.001 for at in opened.values())])
            mixed.append((opened[said.epoch], said))
            mixed.append((opened[said.epoch] + 50 * chance.random(), said))
        elif number not in lost:
            for _ in range(1 + chance.randrange(2)):
                mixed.append((opened[said.epoch] + 0.001 + 20 * chance.random(), said))
    parts = [found for at, said in mixed for found in in_parts(at, said, chance)]
    parts.sort(key=lambda pair: pair[0])
    return [said for _, said in parts]


def in_parts(at: float, said: Said, chance: random.Random) -> list[tuple[float, Said]]:
    """A snapshot of several alarms in parts, mixed with what else arrives: the last part comes when the
    others have. At times the connection breaks in between, and the snapshot begins anew.
    """
    listed = said.snapshot or ()
    if len(listed) < 2 or chance.random() < 0.2:
        return [(at, said)]
    cut = chance.randrange(1, len(listed))
    single = [said._replace(snapshot=(alarm,), whole=False) for alarm in listed[:cut]]
    broken = chance.choices(single, k=chance.randrange(cut + 1))
    last_at = at + 10 * chance.random()
    return [
        (at, single[0]),  # an epoch is met with the beginning of its first snapshot
        *((at + (last_at - at) * chance.random(), part) for part in (*broken, *single)),
        (last_at, said._replace(snapshot=listed[cut:])),
    ]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def shared(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("convergence")
    database = Database(f"sqlite:///{folder / 'city.sqlite'}")
    yield runner.run(open_town(database, contacts=False))
    runner.run(database.close())


class Home(NamedTuple):
    site: str
    household: str
    detector: str


async def new_home(town: Town) -> Home:
    """A site of its own for each order, in the same database."""
    site = f"s{new_id()[:20]}"
    detector = detector_id(site, "native", "x")
    async with town.database.write() as session:
        session.add(Site(id=site, created_us=0))
        await session.flush()
        household = Household(id=new_id(), label=site, site_id=site, created_us=0)
        session.add(household)
        await session.flush()
        session.add(
            Detector(id=detector, site_id=site, source="native", address="x", household_id=household.id)
        )
    town.household_id = household.id
    await town.add_contact(f"{site}@example.mn")
    return Home(site, household.id, detector)


def placed(home: Home, alarm: Alarm) -> Alarm:
    return Alarm(
        id=home.site + alarm.id, kind=alarm.kind, detector=home.detector, raised_us=alarm.raised_us,
        revision=alarm.revision, reason=alarm.reason, cleared_us=alarm.cleared_us, peak=alarm.peak,
    )  # fmt: skip


async def deliver(town: Town, home: Home, said: Said, now_us: int) -> None:
    epoch = f"{home.site}-{said.epoch}"
    async with town.database.write() as session:
        if said.alarm is not None:
            event = openings.Said(
                home.site, epoch, placed(home, said.alarm),
                "clear" if said.alarm.cleared_us else "raise", (now_us - said.at_us) // 1000, True,
            )  # fmt: skip
            await openings.apply_alarms(session, [event], now_us=now_us)
            return
        snapshot = Snapshot(
            site=home.site, epoch=epoch, nonce=new_id(), at_us=said.at_us, last_seq=0,
            active=[placed(home, alarm) for alarm in said.snapshot or ()],
        )  # fmt: skip
        await incidents.apply_snapshot(
            session, snapshot=snapshot, now_us=now_us, new_epoch=False, whole=said.whole
        )


async def live_through(
    town: Town, arriving: list[Said], people: random.Random | None
) -> tuple[Home, dict[str, object]]:
    home = await new_home(town)
    now_us = NIGHT_US
    for said in arriving:
        now_us = max(now_us, said.at_us) + US_PER_S
        await deliver(town, home, said, now_us)
        if people is not None and people.random() < 0.3:
            await _somebody_acts(town, home, people, now_us)
        await _check_incidents(town, home)
    async with town.database.read() as session:
        records = await _records(session, home)
        return home, {
            record.id.removeprefix(home.site): (
                record.revision, record.kind, record.raised_us, record.cleared_us, record.reason,
                record.closed_reason, tuple(record.peak.items()), record.epoch.removeprefix(home.site),
            )
            for record in records
        }  # fmt: skip


async def _records(session: AsyncSession, home: Home) -> list[AlarmRecord]:
    return list(await session.scalars(select(AlarmRecord).where(AlarmRecord.site_id == home.site)))


async def _somebody_acts(town: Town, home: Home, people: random.Random, now_us: int) -> None:
    async with town.database.write() as session:
        ids = list(await session.scalars(select(Incident.id).where(Incident.site_id == home.site)))
        if not ids:
            return
        if people.random() < 0.25:
            lasting = [r for r in await _records(session, home) if is_active(r)]
            if lasting:
                chosen_alarm = people.choice(sorted(record.id for record in lasting))
                await incidents.abandon(session, chosen_alarm, "the box burnt", "duty", now_us)
            return
        chosen = people.choice(sorted(ids))
        if people.random() < 0.7:
            await incidents.acknowledge(session, chosen, "duty", now_us)
            return
        incident = await session.get(Incident, chosen)
        if incident is not None and incident.state != "resolved":
            await incidents.resolve(session, chosen, "cooking", "duty", now_us)


async def _check_incidents(town: Town, home: Home) -> None:
    """What holds after every message."""
    async with town.database.read() as session:
        records = await _records(session, home)
        found = {
            incident.id: incident
            for incident in await session.scalars(select(Incident).where(Incident.site_id == home.site))
        }
        told = {
            (notification.incident_id, notification.episode, notification.message)
            for notification in await session.scalars(
                select(Notification)
                .join(Contact, Notification.contact_id == Contact.id)
                .where(Contact.household_id == home.household)
            )
        }
    for record in records:
        incident = found[record.incident_id or "none"]
        assert incident.hazard == incidents.hazard_of(record.kind, test=False)
    for incident in found.values():
        lasting = [
            r for r in records
            if r.incident_id == incident.id and is_active(r) and not r.history
        ]  # fmt: skip
        if incident.state in ("opened", "acknowledged"):
            assert lasting
            assert incident.open_key == f"household:{home.household}/{incident.hazard}"
        else:
            assert incident.open_key is None
            assert not lasting or incident.state == "resolved"
        if incident.alarm_class == "alarm":
            message = "history" if incident.history else incident.hazard
            assert (incident.id, incident.episode, message) in told


@settings(
    max_examples=MAX_EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking outlives the time limit
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(life=lives(), seed=st.integers(0, 2**32), lossy=st.booleans())
def test_any_order_of_an_edges_messages_ends_the_same(
    runner: asyncio.Runner, shared: Town, life: Life, seed: int, lossy: bool
) -> None:
    chance = random.Random(seed)
    old = [n for n, said in enumerate(life.said) if said.epoch < life.epochs - 1 and not said.first]
    lost = {number for number in old if lossy and chance.random() < 0.4}
    first_home, first = runner.run(live_through(shared, arrival(life, lost, chance), None))
    second_home, second = runner.run(live_through(shared, arrival(life, lost, chance), chance))
    assert first == second
    lasting = {name for name, state in first.items() if state[3] is None}  # type: ignore[index]
    assert lasting == life.active
    for home, acted in ((first_home, False), (second_home, True)):
        runner.run(breach_again(shared, home, life.epochs - 1, acted))


async def breach_again(town: Town, home: Home, epoch: int, acted: bool) -> None:
    """Whatever happened before, acknowledged, resolved or abandoned: the next breach raises."""
    now_us = NIGHT_US + 30 * 86_400 * US_PER_S
    alarm = Alarm(
        id="next", kind="smoke", detector=home.detector, raised_us=now_us, revision=1, reason="r"
    )
    async with town.database.write() as session:
        applied = await incidents.apply_alarm(
            session, site_id=home.site, epoch=f"{home.site}-{epoch}", alarm=placed(home, alarm),
            transition="raise", age_ms=0, clock_synced=True, now_us=now_us,
        )  # fmt: skip
        assert applied.changed
        incident = await session.get(Incident, applied.incident_id)
        assert incident is not None
        assert incident.open_key is not None
        if not acted:  # nobody has it, so it is opened and its people are told
            assert incident.state == "opened"
        assert applied.notified or not applied.opened
    await _check_incidents(town, home)
