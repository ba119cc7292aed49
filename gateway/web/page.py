"""What every page shares: the city behind it, the visitor's words, the frame around the template.

Cast: ``page_of`` (a template in the visitor's language, with the navigation that is theirs),
``words_of``, ``city_of``, ``NAVIGATION`` (the rooms of the house as data: address, name, right).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

from gateway.city import City
from gateway.door import Asker
from gateway.veil import veiled
from gateway.web.listing import LISTS
from gateway.web.words import DEFAULT_LANGUAGE, LANGUAGES, Words, words_for
from registry.rights import Action, may_somewhere

_FOLDER: Final = Path(__file__).parent
_LANGUAGE_COOKIE: Final = "utaa_language"
_YEAR_S: Final = 365 * 24 * 3600
_templates = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["LISTS"] = LISTS
STATIC: Final = _FOLDER / "static"
#: Scripts and styles of other makers, copied here by ``scripts/assets``.
VENDOR: Final = STATIC / "vendor"
#: A moment is said with its day where it is not today's; this long ago nothing is today's.
_DAY_US: Final = 24 * 3600 * 1_000_000


@dataclass(frozen=True)
class Room:
    """An entry of the navigation: where it leads, its name (a catalogue's key), who may enter."""

    address: str
    name: str
    action: Action


#: In the order of the navigation. A page adds its line here.
NAVIGATION: Final[tuple[Room, ...]] = (
    Room("/", "Now", "incident.read"),
    Room("/desk", "Duty desk", "incident.acknowledge"),
    Room("/field/", "Field work", "field.work"),
    Room("/cameras", "Cameras", "camera.read"),
    Room("/households", "Homes", "household.read"),
    Room("/works", "Works", "inspection.read"),
    Room("/specifications", "Specifications", "specification.read"),
    Room("/fibre", "Fibre plant", "fibre.read"),
    Room("/imports", "Imports", "import.read"),
    Room("/reports", "Reports", "cost.read"),
    Room("/audit", "Audit", "audit.read"),
)


def city_of(request: Request) -> City:
    """The city behind this request."""
    city: City = request.app.state.city
    return city


def words_of(request: Request) -> Words:
    """The visitor's language: asked for, remembered, known of whom a link was sent to, or Mongolian."""
    known = getattr(request.state, "language", None)
    asked = request.query_params.get("lang") or request.cookies.get(_LANGUAGE_COOKIE) or known
    return words_for(asked if asked in LANGUAGES else DEFAULT_LANGUAGE)


def rooms_of(asker: Asker) -> list[Room]:
    """The rooms this visitor may enter; none for somebody who has not signed in."""
    if asker.known is None:
        return []
    return [room for room in NAVIGATION if may_somewhere(asker.actor, room.action)]


def rendered(template: str, **values: Any) -> str:
    """A template without a visitor."""
    return _templates.get_template(template).render(**values)


def page_of(
    template: str,
    request: Request,
    asker: Asker,
    *,
    status: int = 200,
    plain: bool = False,
    **values: Any,
) -> Response:
    """A page in the visitor's language. A plain one is for people who never sign in.

    Every template has ``words``, ``signed_in``, ``csrf``, ``plain``, ``rooms``, ``here`` (the path),
    ``shown_at`` (when somebody signed in was shown this), ``other_language`` (this very address in the
    other language) and ``vendor`` (whether the packages of other makers are installed).
    """
    words, signed_in = words_of(request), asker.known is not None
    now_us = city_of(request).clock.now_us() if signed_in else 0
    other = "en" if words.language == "mn" else "mn"
    html = _templates.get_template(template).render(
        words=words,
        signed_in=signed_in,
        shown_at=words.moment(now_us, now_us - _DAY_US) if signed_in else "",
        csrf=veiled(asker.known.csrf) if asker.known and asker.known.csrf else "",
        plain=plain,
        rooms=[] if plain else rooms_of(asker),
        emergencies=getattr(request.state, "emergencies", ()),
        here=request.url.path,
        other_language="?" + request.url.include_query_params(lang=other).query,
        vendor=(VENDOR / "made").exists(),
        **values,
    )
    response = HTMLResponse(html, status)
    response.headers["Cache-Control"] = "no-store"
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(_LANGUAGE_COOKIE, words.language, max_age=_YEAR_S, samesite="lax")
    return response
