"""The door: who is asking, and whether they may.

Cast: ``Need`` (what a route declares), ``Asker`` (who stands at the door), ``check_declared`` (no route
without a need, so the API is closed by default).

A request's journey: an ``Authorization: Bearer`` token, else the session cookie (on a
family's pages the family's own), else anybody → an unsafe method with a cookie must carry the session's
CSRF token → ``registry.rights`` decides.

``need("site.read")`` asks for the right *everywhere*. A route that asks itself about the one object it
touches, or filters its list by ``asker.reach``, says ``need("site.read", by_object=True)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Mount

from alerts.doors import Doors
from alerts.policy import Policy
from edge.wire.clock import Clock
from edge.wire.messages import Command
from gateway.live import Hub
from gateway.veil import is_token
from registry.accounts.emergencies import Emergencies
from registry.db import Database
from registry.identity import Identity, Known
from registry.khur.client import Khur
from registry.residents import service as residents
from registry.residents.models import HomeSession
from registry.rights import (
    ANYBODY,
    Action,
    Actor,
    Forbidden,
    Grant,
    Place,
    Reach,
    may_somewhere,
    require,
    require_somewhere,
)
from registry.sealed import Keyring

log = structlog.get_logger()

CSRF_HEADER: Final = "X-CSRF-Token"
#: The ``__Host-`` name makes a browser refuse a cookie that another host or path set.
SECURE_COOKIE: Final = "__Host-utaa_session"
PLAIN_COOKIE: Final = "utaa_session"
#: A family's browser, on the family's own pages alone.
SECURE_HOME_COOKIE: Final = "__Host-utaa_home"
PLAIN_HOME_COOKIE: Final = "utaa_home"
_HOME: Final = "/home"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Kinds of forms a page sends, and how many files may be in one.
_FORMS: Final = {"application/x-www-form-urlencoded": 0, "multipart/form-data": 1}
#: Emergencies shown above a page; more are listed under /api/v1/emergencies.
MAX_NOTICES: Final = 5
#: Fields of the longest form: a screenful of an import's cells.
MAX_FORM_FIELDS: Final = 5_000
#: Files of ours that anybody may fetch, served by a mount and not by a route.
OPEN_MOUNTS: Final = frozenset({"/static"})


class Rooms(Protocol):
    """What the HTTP door needs of the city."""

    @property
    def database(self) -> Database: ...
    @property
    def keyring(self) -> Keyring: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def troubles(self) -> Mapping[str, str]:
        """What the process waits for, by part; empty when it is ready."""
        ...

    @property
    def hub(self) -> Hub: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def doors(self) -> Doors: ...
    @property
    def khur(self) -> Khur | None:
        """The adapter of the state's data exchange; None: none is set."""
        ...

    @property
    def data_dir(self) -> Path:
        """The folder of everything the city keeps itself."""
        ...

    @property
    def wake_alerts(self) -> Callable[[], None]: ...
    @property
    def wake_configs(self) -> Callable[[], None]: ...
    @property
    def send_command(self) -> Callable[[Command], bool]: ...


class BadToken(Exception):
    """The bearer token is unknown, expired or revoked."""


class CsrfMissing(Exception):
    """An unsafe request by cookie without the session's CSRF token, or from another site."""


@dataclass(frozen=True)
class Asker:
    """Who stands at the door, from where, and where the needed action is theirs."""

    actor: Actor
    origin: str
    reach: Reach
    known: Known | None = None


class Need:
    """A route's declared need; as a dependency it lets the request pass and says who asks."""

    def __init__(self, action: Action, *, by_object: bool) -> None:
        self.action: Action = action
        self.by_object = by_object

    async def __call__(self, request: Request) -> Asker:
        actor, known = await _who(request)
        try:
            reach = require_somewhere(actor, self.action)
            if not self.by_object:
                require(actor, self.action)
        except Forbidden:
            if known is not None:  # a stranger's refusal says nothing of anybody
                log.warning("door.forbidden", actor=actor.id, action=self.action, method=request.method)
            raise
        await _notice(request, actor)
        return Asker(actor, origin_of(request), reach, known)


async def _notice(request: Request, actor: Actor) -> None:
    """Whoever watches over rights sees on every page who took a role in an emergency."""
    wants_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if wants_page and may_somewhere(actor, "person.read"):
        city = rooms(request)
        running = await Emergencies(city.database, city.clock).newest(running=True)
        request.state.emergencies = running[:MAX_NOTICES]


def need(action: Action, *, by_object: bool = False) -> Need:
    """What a route needs, for ``Depends(need(…))``."""
    return Need(action, by_object=by_object)


def allow(asker: Asker, action: Action, place: Place) -> None:
    """Raises ``Forbidden`` unless the asker may do this to an object at that place."""
    require(asker.actor, action, place)


def rooms(request: Request) -> Rooms:
    """The city behind this request."""
    city: Rooms = request.app.state.city
    return city


def identity(request: Request) -> Identity:
    """The service that knows people, behind this request."""
    service: Identity = request.app.state.identity
    return service


def origin_of(request: Request) -> str:
    """The address a request came from, for throttling and the audit."""
    return request.client.host if request.client else ""


def cookie_name(request: Request) -> str:
    return SECURE_COOKIE if request.url.scheme == "https" else PLAIN_COOKIE


def home_cookie_name(request: Request) -> str:
    return SECURE_HOME_COOKIE if request.url.scheme == "https" else PLAIN_HOME_COOKIE


def home_of(request: Request) -> HomeSession | None:
    """The household's browser that asks; None: it is nobody's, or asks outside the family's pages."""
    home: HomeSession | None = getattr(request.state, "utaa_home", None)
    return home


async def _who(request: Request) -> tuple[Actor, Known | None]:
    if hasattr(request.state, "utaa_who"):
        found: tuple[Actor, Known | None] = request.state.utaa_who
        return found
    known = await _known(request)
    request.state.utaa_who = (known.actor if known else ANYBODY, known)
    return request.state.utaa_who  # type: ignore[no-any-return]  # just set


async def _known(request: Request) -> Known | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        known = await identity(request).known_by_token(token) if scheme.lower() == "bearer" else None
        if known is None:
            raise BadToken
        return known
    if request.method not in _SAFE_METHODS and request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise CsrfMissing
    if request.url.path == _HOME or request.url.path.startswith(_HOME + "/"):
        known = await _resident(request)
    else:
        cookie = request.cookies.get(cookie_name(request))
        known = await identity(request).known_by_session(cookie) if cookie else None
    if known is not None and request.method not in _SAFE_METHODS:
        sent = request.headers.get(CSRF_HEADER, "") or await _csrf_of_form(request)
        if known.csrf is None or not is_token(sent, known.csrf):
            raise CsrfMissing
    return known


async def _resident(request: Request) -> Known | None:
    """A family on its own pages: the right to this one household and nothing else."""
    cookie = request.cookies.get(home_cookie_name(request))
    if not cookie:
        return None
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        home = await residents.known(session, cookie, now_us)
    if home is None:
        return None
    if residents.needs_touch(home, now_us):
        async with city.database.write() as session:
            await residents.touch(session, home, now_us)
    request.state.utaa_home = home
    grant = Grant("resident", household_id=home.household_id)
    actor = Actor(f"home:{home.household_id}", "household", (grant,))
    return Known(actor, "", "mn", home.expires_us, home.csrf)


async def _csrf_of_form(request: Request) -> str:
    """A page's form without JavaScript sends the token as its field ``csrf``."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _FORMS:
        return ""
    sent = (await request.form(max_files=_FORMS[kind], max_fields=MAX_FORM_FIELDS)).get("csrf")
    return sent if isinstance(sent, str) else ""


def needs_of(app: FastAPI) -> Iterator[tuple[str, str, Need | None]]:
    """(method, path, declared need) of every route; None where a route declares none."""
    for context in iter_route_contexts(app.routes):
        route: Any = context.original_route
        path = context.path or ""
        if isinstance(route, Mount) and route.path in OPEN_MOUNTS:
            continue
        found = _need_in(route.dependant) if isinstance(route, APIRoute) else None
        for method in sorted(getattr(route, "methods", None) or {"*"}):
            yield method, path, found


def _need_in(dependant: Any) -> Need | None:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Need):
            return inner.call
        if (found := _need_in(inner)) is not None:
            return found
    return None


def check_declared(app: FastAPI) -> None:
    """Raises ``RuntimeError`` naming the routes that declare no need: a program's own mistake."""
    bare = [f"{method} {path}" for method, path, found in needs_of(app) if found is None]
    if bare:
        raise RuntimeError(f"routes without a declared need: {', '.join(bare)}")
