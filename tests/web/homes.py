"""A small city for the pages of families and of the duty desk: homes, detectors, a fire, a desk.

``fill`` writes the rows; ``Levels`` answers for the reading store with a smooth day.
"""

from __future__ import annotations

import math

import numpy as np

from alerts import incidents
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import US_PER_S
from edge.wire.messages import Alarm
from gateway.models import LatestReading, SiteState
from gateway.stores.base import Steps
from registry.db import Database
from registry.households import ChannelEntry, ContactEntry, replace_contacts
from registry.models import Detector, Household, Site
from registry.sealed import Keyring

SITE, HOME, UNIT = "khoroo-24", "h-1", "111664"
PLACES = {"d-smoke": "унтлагын өрөө", "d-co": "зуухны дэргэд"}
MAIL, NUMBER = "bat@example.mn", "99112233"


class Levels:
    """A reading store of one smooth day, whatever is asked."""

    title = "levels"

    async def steps(
        self, detector: str, quantity: str, *, from_us: int, to_us: int, step_us: int, limit: int
    ) -> Steps:
        base = {"co_ppm": 6.0, "optical_density_db_m": 0.02, "temperature_c": 19.0}[quantity]
        if (quantity == "co_ppm") != (detector == "d-co") and quantity != "temperature_c":
            starts: list[int] = []
        else:
            starts = list(range(from_us - from_us % step_us, to_us, step_us))[:limit]
        values = [base * (1 + 0.4 * math.sin(at / step_us / 5)) for at in starts]
        column = np.array(values, dtype=np.float64)
        count = np.ones(len(starts), dtype=np.int64)
        return Steps(np.array(starts, dtype=np.int64), column, column, column, count)


async def fill(database: Database, keyring: Keyring, now_us: int) -> None:
    """One home with two detectors and two people; everything is well."""
    async with database.write() as session:
        session.add(Site(id=SITE, title="24-р хороо", unit_code=UNIT, created_us=1))
        await session.flush()
        session.add(SiteState(site_id=SITE, state="online", heard_us=now_us))
        session.add(
            Household(
                id=HOME, label="СХД-24-0012", site_id=SITE, unit_code=UNIT, created_us=1,
                lat=47.92, lon=106.83,
            )
        )  # fmt: skip
        await session.flush()
        for number, (name, place) in enumerate(PLACES.items()):
            session.add(
                Detector(
                    id=name, site_id=SITE, source="native", address=name, household_id=HOME,
                    status="in_service", place=place,
                )
            )  # fmt: skip
            session.add(
                LatestReading(
                    detector_id=name, site_id=SITE, time_us=now_us - (20 + number) * US_PER_S,
                    optical_density_db_m=0.02 if name == "d-smoke" else None,
                    co_ppm=6.0 if name == "d-co" else None, temperature_c=19.5, battery_pct=86.0,
                )
            )  # fmt: skip
        people = [
            ContactEntry(
                "Бат", "mn", (ChannelEntry("sms", "+97699112233"), ChannelEntry("email", MAIL))
            ),
            ContactEntry("Цэцэг", "mn", (ChannelEntry("sms", "+97688110011"),)),
        ]
        await replace_contacts(session, keyring, HOME, people, now_us=now_us)


async def burn(
    database: Database, now_us: int, *, alarm_id: str = "a-1", kind: str = "smoke",
    cleared_us: int | None = None, raised_us: int | None = None,
) -> str:  # fmt: skip
    """The smoke detector sounds (or is quiet again); its incident."""
    alarm = Alarm(
        id=alarm_id, kind=kind, detector="d-co" if kind == "co" else "d-smoke",  # type: ignore[arg-type]
        raised_us=raised_us or now_us, cleared_us=cleared_us, revision=2 if cleared_us else 1,
        reason="optical density",
    )  # fmt: skip
    async with database.write() as session:
        applied = await incidents.apply_alarm(
            session, site_id=SITE, epoch="e", alarm=alarm,
            transition="clear" if cleared_us else "raise", age_ms=0, clock_synced=True, now_us=now_us,
            policy=DEFAULT_POLICY,
        )  # fmt: skip
    assert applied.incident_id
    return applied.incident_id
