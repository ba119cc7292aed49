"""As the API, so the office's pages: one that shows a sealed field leaves an entry in the audit."""

from __future__ import annotations

import asyncio
import re

from gateway.door import needs_of
from registry.models import RoleGrant
from registry.rights import GRANTABLE
from tests.api.test_protected_reads import _MARK, ID, _entries, _rows, _said
from tests.web.conftest import Web

#: What is not an id in a page's path.
_WORDS = {"which": "picture", "evidence_id": "1", "kind": "household", "number": "1", "code": "111664"}
#: So long a page may take on a loaded machine; what takes longer is a stream.
_PATIENCE_S = 10.0


async def test_a_page_that_shows_a_sealed_field_leaves_an_entry(web: Web) -> None:
    for row in _rows(web.city.keyring):
        async with web.database.write() as session:
            session.add(row)
    person = await web.somebody("everybody", "registrar")
    async with web.database.write() as session:
        others = (role for role in GRANTABLE if role != "registrar")
        session.add_all(RoleGrant(person_id=person, role=role) for role in others)
    await web.sign_in("everybody")
    app = web.browser._transport.app  # type: ignore[attr-defined]
    silent, answered = [], 0
    for method, path, need in needs_of(app):
        if method != "GET" or need is None or path.startswith(("/api/v1", "/home")):
            continue
        if path.endswith("/changes"):  # a stream: that something changed, and nothing of it
            continue
        url = re.sub(r"{(\w+)(:\w+)?}", lambda part: _WORDS.get(part[1], ID), path)
        before = await _entries(web.city)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await web.browser.get(url)
        except Exception:  # this small city lacks what some pages need
            continue
        answered += answer.status_code == 200
        names = {mark.decode() for mark in _MARK.findall(_said(answer.content))}
        if names and await _entries(web.city) == before:
            silent.append(f"{path}: {sorted(names)}")
    assert silent == []
    assert answered > 25, "pages were really shown"
