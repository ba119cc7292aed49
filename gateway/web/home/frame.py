"""What a family's pages share: who is at home, and the frame around their templates."""

from __future__ import annotations

from typing import Annotated, Any, Final

from babel.dates import format_timedelta
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from gateway.door import Asker, home_of, need
from gateway.web.page import page_of, words_of
from registry.acts import Act
from registry.models import Contact, Household
from registry.residents.models import HomeSession

#: Anybody may knock at a page; who is not at home is led to the door.
Anybody = Annotated[Asker, Depends(need("page.read"))]
#: What changes something is for the family alone.
Family = Annotated[Asker, Depends(need("home.use", by_object=True))]
DOOR: Final = "/home/ask"


def to_the_door() -> Response:
    """Somebody who is not at home: where a link can be asked for."""
    return RedirectResponse(DOOR, 303)


def home_page(template: str, request: Request, asker: Asker, **values: Any) -> Response:
    """One of the family's pages, in their language."""
    language = words_of(request).language

    def lasted(from_us: int, until_us: int) -> str:
        seconds = max(until_us - from_us, US_PER_S) // US_PER_S
        return format_timedelta(seconds, locale=language, threshold=1.2)

    return page_of(f"home/{template}", request, asker, plain=True, lasted=lasted, **values)


def session_of(request: Request) -> HomeSession:
    """The family's browser, after ``Family`` has let it pass."""
    home = home_of(request)
    assert home is not None
    return home


def act_at_home(request: Request, asker: Asker) -> Act:
    """The audit keeps which home, not where its people were."""
    return Act(asker.actor, request.app.state.city.clock.now_us())


async def household_of(session: AsyncSession, request: Request, home: HomeSession) -> Household:
    """The household; its language is the page's from here on."""
    household = await session.get_one(Household, home.household_id)
    request.state.language = household.language
    return household


async def contact_of(session: AsyncSession, home: HomeSession) -> Contact | None:
    """Whose browser it is, if that is known and they still belong to the home."""
    found = await session.get(Contact, home.contact_id) if home.contact_id else None
    return found if found is not None and found.gone_us is None else None
