"""What a person may do at this moment: roles they were given, a role taken in an emergency, and
whether a role of theirs still waits for a second factor.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.accounts.models import EmergencyAccess, RoleRule, SecondFactor
from registry.models import RoleGrant
from registry.rights import Grant, check_roles

#: All that somebody has whose role asks for a second factor they have not set up.
NEWCOMER: Final = (Grant("newcomer"),)


async def grants_of(session: AsyncSession, person_id: str, now_us: int) -> tuple[Grant, ...]:
    """The person's grants now; ``NEWCOMER`` alone while a second factor is missing."""
    rows = await session.scalars(select(RoleGrant).where(RoleGrant.person_id == person_id))
    grants = [Grant(check_roles([row.role])[0], row.unit_code, row.organisation_id) for row in rows]
    taken = select(EmergencyAccess.role).where(
        EmergencyAccess.person_id == person_id,
        EmergencyAccess.started_us <= now_us,
        EmergencyAccess.ends_us > now_us,
    )
    grants += [Grant(role) for role in check_roles(await session.scalars(taken))]
    if await _factor_missing(session, person_id, {grant.role for grant in grants}):
        return NEWCOMER
    return tuple(grants)


async def _factor_missing(session: AsyncSession, person_id: str, roles: set[str]) -> bool:
    asking = await session.scalars(select(RoleRule.role).where(RoleRule.second_factor.is_(True)))
    return not roles.isdisjoint(asking) and not await has_factor(session, person_id)


async def has_factor(session: AsyncSession, person_id: str) -> bool:
    """Whether a second factor of theirs counts."""
    confirmed = select(SecondFactor.person_id).where(
        SecondFactor.person_id == person_id, SecondFactor.confirmed_us.is_not(None)
    )
    return await session.scalar(confirmed) is not None
