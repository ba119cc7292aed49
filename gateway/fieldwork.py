"""What a technician does to a detector on the spot: acts (perhaps sent later) and test alarms.

Checked against the detector's place, recorded in the audit, committed; then sites and watchers are
told.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmRecord
from edge.wire.identity import new_id
from edge.wire.messages import Command
from gateway.desk import COMMAND_LIFE_US, SiteOutOfReach
from gateway.door import Asker, Rooms, allow
from registry import editing, history
from registry.acts import Act
from registry.detector_life import replace_detector, take_step
from registry.editing import ChangedMeanwhile
from registry.fieldwork import acts, trials
from registry.fieldwork.commissioning import Checks, commission
from registry.fieldwork.models import Trial
from registry.labels import service as labels
from registry.models import Detector, Household
from registry.rights import Place
from registry.sites import Conflict, NoSuch, Registration, place_of_detector, touch_site
from registry.stays import keep_stay

Kind = Literal["commission", "move", "replace", "retire", "fault", "repair"]
#: The target of an order to all of a site's outputs.
_OUTPUTS: Final = "outputs"


@dataclass(frozen=True)
class Wish:
    """One act, as a phone sends it. ``version`` None: it never saw the record."""

    kind: Kind
    version: int | None
    done_us: int
    checks: Checks
    #: the label of the home it goes to; empty: it stays in its home
    home: str = ""
    source: str = ""
    address: str = ""
    fault: str = ""
    work: str = ""

    def asked(self) -> dict[str, Any]:
        """What the key of the act stands for: all of it but the version, which may be chosen anew."""
        return {name: value for name, value in asdict(self).items() if name != "version"}


async def detector_named(session: AsyncSession, detector_id: str | None, label: str | None) -> Detector:
    """The detector of an id or of a label, however that was typed. Raises ``NoSuch``."""
    if detector_id is None:
        found = await labels.resolve(session, label or "")
        if found is None or found.object_kind != "detector":
            raise NoSuch("label", (label or "")[:20])
        detector_id = found.object_id
    return await _one(session, detector_id)


async def _one(session: AsyncSession, detector_id: str) -> Detector:
    detector = await session.get(Detector, detector_id, with_for_update=True)
    if detector is None:
        raise NoSuch("detector", detector_id)
    return detector


async def do(
    city: Rooms,
    asker: Asker,
    act: Act,
    key: str,
    wish: Wish,
    detector_id: str | None,
    label: str | None,
) -> dict[str, Any]:
    """Carry an act out, once; its answer.

    Raises ``NoSuch``, ``Forbidden``, ``Conflict``, ``ChangedMeanwhile`` (both versions in it),
    ``StepRefused``, ``Incomplete``, ``audit.ReasonMissing``.
    """
    async with city.database.write() as session:
        detector = await detector_named(session, detector_id, label)
        allow(asker, "detector.write", await place_of_detector(session, detector.id))

        async def carry_out() -> dict[str, Any]:
            if wish.version not in (None, detector.version):
                seen = await history.at_version(session, detector, wish.version or 0)
                asked = {"kind": wish.kind, **_shown(wish)}
                raise ChangedMeanwhile(detector, wish.version or 0, asked, seen)
            done = await _carry_out(session, asker, act, detector, wish)
            return {"detector_id": done.id, "status": done.status, "version": done.version}

        answer, fresh = await acts.once(
            session, act, key, wish.kind, detector.id, {**wish.asked(), "reason": act.reason}, carry_out
        )
    if fresh:
        city.wake_configs()
        city.hub.publish("detector", {"site": detector.site_id, "detector": detector.id})
    return answer


def _shown(wish: Wish) -> dict[str, Any]:
    """What somebody typed, for the page that shows both versions."""
    said = {
        "place": wish.checks.place, "home": wish.home, "address": wish.address, "fault": wish.fault,
        "work": wish.work,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


async def _carry_out(
    session: AsyncSession, asker: Asker, act: Act, detector: Detector, wish: Wish
) -> Detector:
    match wish.kind:
        case "commission":
            await commission(session, act, detector, wish.checks, wish.done_us)
        case "move":
            await _move(session, asker, act, detector, wish)
        case "replace":
            new = Registration(wish.source or detector.source, wish.address)
            return await replace_detector(session, act, detector, new)
        case "retire":
            await take_step(session, act, detector, "retire", {})
        case "fault":
            proofs = {"found_on": act.today.isoformat(), "fault": wish.fault}
            await take_step(session, act, detector, "break", proofs)
        case "repair":
            proofs = {"repaired_on": act.today.isoformat(), "work": wish.work}
            await take_step(session, act, detector, "repair", proofs)
    return detector


async def _move(session: AsyncSession, asker: Asker, act: Act, detector: Detector, wish: Wish) -> None:
    """To another place, perhaps in another home of the same site. Raises ``NoSuch``, ``Conflict``."""
    wanted: dict[str, Any] = {}
    if wish.checks.place.strip():
        wanted["place"] = wish.checks.place.strip()
    if wish.home:
        query = select(Household).where(Household.label == wish.home, Household.gone_us.is_(None))
        home = await session.scalar(query)
        if home is None:
            raise NoSuch("home", wish.home)
        if home.site_id != detector.site_id:
            raise Conflict("home", "it is at another site: retire the detector here, register it there")
        if home.unit_code is not None:
            allow(asker, "detector.write", Place(unit_code=home.unit_code))
        wanted["household_id"] = home.id
    if not wanted:
        raise Conflict("place", "expected another place or another home")
    await editing.change(session, act, detector, wanted, verb="move")
    await keep_stay(session, detector, act.now_us)
    await touch_site(session, detector.site_id)


async def begin_trial(city: Rooms, asker: Asker, act: Act, detector_id: str, for_s: int) -> Trial:
    """Start a test alarm: the site is asked to take the detector's own word for a test, and to ring it.

    Raises ``NoSuch``, ``Forbidden``, ``Conflict`` and ``SiteOutOfReach`` (nothing is in test then).
    """
    async with city.database.write() as session:
        detector = await _tried(session, asker, detector_id)
        trial = await trials.begin(session, act, detector, for_s)
    # committed first, so that the site's answer finds its trial
    asked = {"until_us": trial.until_us, "only": "own_word"}
    if not city.send_command(
        _command(act, trial.site_id, "test", detector_id, trial.command_id, asked)
    ):
        async with city.database.write() as session:
            (await session.get_one(Trial, trial.id)).ended_us = act.now_us
        raise SiteOutOfReach
    city.send_command(_command(act, trial.site_id, "self_test", detector_id, new_id()))
    return trial


async def end_trial(city: Rooms, asker: Asker, act: Act, detector_id: str) -> Trial | None:
    """The technician is done; the site is told, and ends it by itself if it cannot be."""
    async with city.database.write() as session:
        detector = await _tried(session, asker, detector_id)
        trial = await trials.end(session, act, detector)
    if trial is not None:
        city.send_command(_command(act, trial.site_id, "end_test", detector_id, new_id()))
    return trial


async def ring_outputs(city: Rooms, asker: Asker, act: Act, detector_id: str) -> None:
    """Try the site's sirens for some seconds. Raises ``SiteOutOfReach``."""
    async with city.database.write() as session:
        detector = await _tried(session, asker, detector_id)
        await editing.note(session, act, detector, "ring", {})
    if not city.send_command(_command(act, detector.site_id, "self_test", _OUTPUTS, new_id())):
        raise SiteOutOfReach


async def _tried(session: AsyncSession, asker: Asker, detector_id: str) -> Detector:
    allow(asker, "field.work", await place_of_detector(session, detector_id))
    return await _one(session, detector_id)


def _command(
    act: Act, site: str, action: Any, target: str, command_id: str, asked: dict[str, Any] | None = None
) -> Command:
    return Command(
        site=site, id=command_id, issued_us=act.now_us, expires_us=act.now_us + COMMAND_LIFE_US,
        action=action, target=target, arguments=asked or {},
    )  # fmt: skip


async def burns(session: AsyncSession, detector: Detector) -> bool:
    """Whether something of its home (or, without one, of itself) alarms and is no test."""
    query = select(AlarmRecord.id).where(
        AlarmRecord.alarm_class == "alarm",
        AlarmRecord.test.is_(False),
        AlarmRecord.cleared_us.is_(None),
        AlarmRecord.abandoned_us.is_(None),
    )
    if detector.household_id is None:
        query = query.where(AlarmRecord.detector_id == detector.id)
    else:
        own = select(Detector.id).where(Detector.household_id == detector.household_id)
        query = query.where(AlarmRecord.detector_id.in_(own))
    return await session.scalar(query.limit(1)) is not None
