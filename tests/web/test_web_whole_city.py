"""Every page of a city that lives: it opens, it is light, and a Mongolian page speaks Mongolian."""

from __future__ import annotations

import re
from html import unescape
from typing import get_args

import msgspec

from gateway.web.words import words_for
from registry.db import Base
from registry.fibre import operations, values
from registry.fibre.trace import HopKind
from registry.models import RoleGrant
from tests.web.conftest import NOW_US, Web
from tests.web.homes import Levels
from utaa.bench.living import Living, enter
from utaa.bench.pages import FIRST_BYTES, WITH_MAP_BYTES, weigh

#: What stays in Latin letters in any language, besides names in capitals.
_WORDS = {"ppm", "px", "dB", "kB", "kbit", "GeoJSON", "Utaa", "English", "Facebook", "Messenger"}
#: Parts of a page that are nobody's words: what is not read, what was typed, what a machine named.
_NO_WORDS = re.compile(
    r"<(script|style|template|svg|title)\b.*?</\1>|<!--.*?-->|<del>.*?</del>|<option.*?</option>"
    r"|<code.*?</code>|<a [^>]*>[^<]*[0-9][^<]*</a>", re.S,
)  # fmt: skip
_NAMED = re.compile(r"[\w.:/…-]*[0-9/_:…@][\w.:/…-]*|\b[a-z]+\.[a-z]+\b|demo-\w+|Native JSON detector")


async def _living(web: Web) -> Living:
    living = await enter(web.database, web.city.keyring, NOW_US)
    web.city.readings = Levels()
    web.city.troubles, web.city.khur = {}, None
    person = await web.enter("clerk.one", "registrar")
    async with web.database.write() as session:
        session.add_all(RoleGrant(person_id=person, role=role) for role in ("auditor", "duty"))
    await web.browser.post(living.way_in)
    return living


def _latin(page: str) -> set[str]:
    """Words in Latin letters that a reader of the page sees."""
    labels = re.findall(r'(?:aria-label|placeholder|alt|title)="([^"]*)"', page)
    text = " ".join([re.sub(r"<[^>]+>", " ", _NO_WORDS.sub(" ", page)), *labels])
    found = set(re.findall(r"[A-Za-z]{2,}", _NAMED.sub(" ", unescape(text)))) - _WORDS
    return {word for word in found if not word.isupper()}


async def test_every_page_opens_is_light_and_speaks_mongolian(web: Web) -> None:
    living = await _living(web)
    heavy: list[str] = []
    foreign: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for name, path in living.every().items():
        weight = await weigh(web.browser, path, seen)
        if weight.without_map > FIRST_BYTES or weight.whole > WITH_MAP_BYTES:
            heavy.append(f"{name}: {weight}")
        page = (await web.browser.get(path)).text
        assert '<html lang="mn">' in page, name
        if words := _latin(page):
            foreign[name] = sorted(words)
    assert not heavy
    assert not foreign, "\n".join(f"{name}: {words}" for name, words in foreign.items())
    nav = re.search(r'<nav class="rooms".*?</nav>', (await web.browser.get("/")).text, re.S)
    assert nav and set(re.findall(r'href="([^"]+)"', nav[0])) <= set(living.every().values())


def test_every_field_that_is_edited_and_every_thing_of_the_fibre_plant_has_its_words() -> None:
    known = words_for("mn").catalogue
    fields = {name for mapper in Base.registry.mappers for name in getattr(mapper.class_, "EDITED", ())}
    tags = set()
    for made in vars(operations).values():
        if isinstance(made, type) and issubclass(made, msgspec.Struct) and made.__struct_config__.tag:
            fields |= set(made.__struct_fields__)
            tags.add(str(made.__struct_config__.tag))
    closed = {
        *values.NODE_KINDS, *values.INSTALLS, *values.EQUIPMENT_KINDS, *values.JOINT_KINDS,
        *values.ENDPOINT_KINDS, *values.CABLE_STATUSES, *values.STRAND_STATES,
    }  # fmt: skip
    missing = {f"field {name}" for name in fields} | {f"value {name}" for name in closed}
    missing |= {f"verb {tag}" for tag in tags if tag != "Operation"}
    missing |= {f"hop {kind}" for kind in get_args(HopKind)}
    assert not missing - set(known)
