"""What a family answers on its own page: safe, a false alarm, help; and later, whether it was real.

Inside the caller's transaction, as lines of the incident's story. ``help`` climbs the ladder at once
and does not acknowledge: nobody has it yet, and the next people must come.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents, ladder, plan
from alerts.acknowledge import who_of
from alerts.incidents import IncidentError
from alerts.models import Incident, IncidentEntry
from alerts.policy import CAUSES, Policy
from registry.models import Contact

Answer = Literal["safe", "false_alarm", "help"]
ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
#: Entries of a story that a family wrote.
ANSWERED: Final = "home_answered"
JUDGED: Final = "home_judged"
#: What a family can tell a past alarm to have been.
JUDGEMENTS: Final = ("real_fire", "cooking", "fault", "unknown")


async def answer(
    session: AsyncSession, incident: Incident, contact: Contact | None, said: Answer, now_us: int,
    policy: Policy,
) -> None:  # fmt: skip
    """The family answers its incident; the same word again is no news.

    Raises ``IncidentError``: already_over.
    """
    if incident.state not in ("opened", "acknowledged"):
        raise IncidentError("already_over", "the alarm has ended")
    if (await answers_of(session, [incident.id])).get(incident.id, {}).get("said") == said:
        return
    who = who_of(contact)
    session.add(plan.note(incident, ANSWERED, now_us, who, said=said))
    if said == "help":
        await _call_the_next(session, incident, now_us, policy)
        return
    by = contact.id if contact else None
    await incidents.acknowledge(session, incident.id, who, now_us, by_contact=by, policy=policy)


async def _call_the_next(
    session: AsyncSession, incident: Incident, now_us: int, policy: Policy
) -> None:
    rule = policy.rule(incident.hazard)
    following = incident.rung + 1
    if following < len(rule.rungs):
        await ladder.climb(session, incident, rule, following, now_us, "help_asked")
    incident.version += 1
    await session.flush()


async def judge(
    session: AsyncSession, incident: Incident, contact: Contact | None, cause: str, now_us: int
) -> None:
    """What it was, in the family's eyes; the newest word holds. Raises ``IncidentError``."""
    if cause not in JUDGEMENTS or cause not in CAUSES:
        raise IncidentError("unknown_cause", f"expected one of {', '.join(JUDGEMENTS)}")
    session.add(plan.note(incident, JUDGED, now_us, who_of(contact), cause=cause))
    await session.flush()


async def answers_of(session: AsyncSession, incident_ids: list[str]) -> dict[str, dict[str, str]]:
    """By incident, the family's newest answer (``said``) and judgement (``cause``)."""
    found: dict[str, dict[str, str]] = {}
    if not incident_ids:
        return found
    for entry in await session.scalars(
        select(IncidentEntry)
        .where(IncidentEntry.incident_id.in_(incident_ids), IncidentEntry.what.in_((ANSWERED, JUDGED)))
        .order_by(IncidentEntry.id)
    ):
        found.setdefault(entry.incident_id, {}).update(entry.detail)
    return found
