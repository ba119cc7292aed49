"""A city with something on every page: the invented Darkhan, a fibre plant with a cut, a home on fire.

For benches and tests of the pages. Nobody in it exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents
from alerts.acknowledge import issue
from alerts.models import Notification
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import US_PER_S
from edge.wire.messages import Alarm
from gateway.models import LatestReading, SiteState
from registry.acts import Act
from registry.cameras.models import Camera
from registry.db import Database
from registry.demo_city import enter_demo_city
from registry.fibre.models import FibreOutage
from registry.fibre.operations import operations_of
from registry.fibre.services import PlantKeeper
from registry.models import Contact, Detector
from registry.residents import service as residents
from registry.rights import CONSOLE, SYSTEM
from registry.sealed import Keyring
from registry.specifications.models import Specification
from utaa import demo_fibre

#: The demo's plant lies in another town; so far north and west of it is Darkhan.
_NORTH, _WEST = 1.5490, 0.9680
#: A splitter's port behind which a camera hangs, and what is dug through.
END: Final = "ONU-1-1/1/front"
_MINUTE_US: Final = 60 * US_PER_S


@dataclass(frozen=True)
class Living:
    """Where the pages of things are, and how a family comes in and answers."""

    home: str
    detector: str
    incident: str
    camera: str
    specification: str
    way_in: str
    answer: str

    def pages(self) -> dict[str, str]:
        """Every page of the office and the desk, by a short name."""
        return {
            "now": "/", "desk": "/desk", "incident": f"/desk/incidents/{self.incident}",
            "wall": "/desk/wall", "handover": "/desk/handover?hours=24",
            "cameras": "/cameras", "camera": f"/cameras/{self.camera}", "camera-new": "/cameras/new",
            "camera-edit": f"/cameras/{self.camera}/edit",
            "homes": "/households", "home": f"/households/{self.home}",
            "paper": f"/home-links/{self.home}", "detector": f"/detectors/{self.detector}",
            "works": "/works", "specifications": "/specifications",
            "specification": f"/specifications/{self.specification}",
            "specification-new": "/specifications/new", "fibre": "/fibre",
            "trace": f"/fibre?end={END}", "impact": f"/fibre?element={demo_fibre.TRENCH}",
            "imports": "/imports", "reports": "/reports", "audit": "/audit",
        }  # fmt: skip

    def family(self) -> dict[str, str]:
        """Every page of the family."""
        return {
            "my-home": "/home", "my-history": "/home/history", "my-contacts": "/home/contacts",
            "my-words": "/home/say",
        }  # fmt: skip

    def anybody(self) -> dict[str, str]:
        """Pages that need nobody to sign in."""
        return {"signin": "/signin", "answer": self.answer, "requests": "/requests"}

    def every(self) -> dict[str, str]:
        """All of them."""
        return {**self.pages(), **self.family(), **self.anybody()}


async def enter(database: Database, keyring: Keyring, now_us: int) -> Living:
    """Fill an empty register."""
    await enter_demo_city(database, keyring, now_us=now_us)
    await _plant(database, now_us)
    async with database.write() as session:
        query = select(Detector).where(Detector.household_id.is_not(None)).order_by(Detector.address)
        detectors = list(await session.scalars(query))
        burning = detectors[0]
        assert burning.household_id is not None  # asked for above
        _heard(session, detectors, now_us)
        incident = await _fire(session, burning, now_us)
        _cut(session, now_us)
        answer = await _answer(session, keyring, incident, burning.household_id, now_us)
        act = Act(SYSTEM, now_us)
        token = await residents.new_link(session, act, burning.household_id, residents.PAPER_LIFE_US)
        camera = await session.scalar(select(Camera.id).order_by(Camera.number).limit(1))
        paper = await session.scalar(select(Specification.id).order_by(Specification.number).limit(1))
    return Living(
        home=burning.household_id, detector=burning.id, incident=incident, camera=str(camera),
        specification=str(paper), way_in=f"/home/in/{token}", answer=answer,
    )  # fmt: skip


async def _plant(database: Database, now_us: int) -> None:
    """The demo's plant, with the town's own cameras at its ends."""
    async with database.read() as session:
        cameras = list(await session.scalars(select(Camera.id).order_by(Camera.number).limit(16)))
    said = []
    for one in demo_fibre.operations():
        moved: dict[str, Any] = dict(one)
        if "lon" in moved:
            moved["lon"], moved["lat"] = round(moved["lon"] - _WEST, 7), round(moved["lat"] + _NORTH, 7)
        if moved["do"] == "endpoint" and moved["kind"] == "camera":
            moved["ref"] = cameras.pop(0)
        said.append(moved)
    await PlantKeeper().change(
        database, operations_of(said), actor=CONSOLE, origin="console", now_us=now_us
    )


def _heard(session: AsyncSession, detectors: list[Detector], now_us: int) -> None:
    for site in sorted({one.site_id for one in detectors}):
        session.add(SiteState(site_id=site, state="online", heard_us=now_us))
    for number, one in enumerate(detectors):
        session.add(
            LatestReading(
                detector_id=one.id, site_id=one.site_id, time_us=now_us - number * US_PER_S,
                co_ppm=float(number % 9), optical_density_db_m=0.02, temperature_c=19.5,
                battery_pct=float(90 - number % 40),
            )
        )  # fmt: skip


async def _fire(session: AsyncSession, detector: Detector, now_us: int) -> str:
    alarm = Alarm(
        id="living-fire", kind="smoke", detector=detector.id, raised_us=now_us - _MINUTE_US,
        cleared_us=None, revision=1, reason="optical density",
    )  # fmt: skip
    applied = await incidents.apply_alarm(
        session, site_id=detector.site_id, epoch="living", alarm=alarm, transition="raise", age_ms=0,
        clock_synced=True, now_us=now_us, policy=DEFAULT_POLICY,
    )  # fmt: skip
    assert applied.incident_id is not None  # a home's fire always has one
    return applied.incident_id


def _cut(session: AsyncSession, now_us: int) -> None:
    session.add(
        FibreOutage(
            id="living-cut", cause=demo_fibre.TRENCH, confidence=0.93, opened_us=now_us - _MINUTE_US,
            findings={"cameras": 8, "sites": 1, "homes": demo_fibre.HOMES},
        )
    )  # fmt: skip


async def _answer(
    session: AsyncSession, keyring: Keyring, incident: str, household: str, now_us: int
) -> str:
    """The address of a message's link, as its reader has it."""
    known = await session.scalar(
        select(Notification.id).where(Notification.incident_id == incident).limit(1)
    )
    if known is None:
        contact = await session.scalar(select(Contact.id).where(Contact.household_id == household))
        known = "living-message"
        session.add(
            Notification(
                id=known, incident_id=incident, contact_id=contact, message="fire", language="mn",
                created_us=now_us,
            )
        )  # fmt: skip
    return f"/a/{issue(keyring, incident, known, now_us)}"
