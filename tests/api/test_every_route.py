"""Every route against every role, and against whatever anybody may send."""

from __future__ import annotations

import asyncio
import json

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.door import needs_of
from registry.rights import GRANTABLE, ROLES

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
#: An open stream does not end: only its refusal can be waited for here.
ENDLESS = {"live.read"}


@pytest.mark.parametrize("role", GRANTABLE)
async def test_each_role_passes_exactly_the_doors_it_should(app: FastAPI, door, role: str) -> None:
    async with await door.machine([role]) as client:
        for method, path, found in needs_of(app):
            assert found is not None
            allowed = found.action in ROLES[role]
            if allowed and (found.action in ENDLESS or path.endswith("/session")):
                continue
            url = f"https://city.test{path}".replace("{", "").replace("}", "")
            answer = await client.request(method, url)
            refused = answer.status_code in (401, 403)
            assert refused is not allowed, (method, path, answer.status_code, answer.text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = st.sampled_from(
    ["id", "title", "unit_code", "lat", "label", "site_id", "address", "contacts", "name",
     "channels", "detectors", "source", "household_id", "model_id", "deadline_s", "alarm_settings",
     "cause", "login", "password", "roles", "days", "code", "status", "place", "language", "senses"]
)  # fmt: skip
_plausible = st.sampled_from(
    ["s1", "khoroo-1116-32", "111664", 47.9, "mn", ["duty"], {"a": 1}, "real_fire", "in_service", 300,
     "correct horse battery", [{"name": "A"}], [{"source": "native", "address": "d"}], "\ud800", "\x00"]
)  # fmt: skip
_word = st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace").decode())
_bodies = st.dictionaries(_names, _plausible | _json, max_size=6) | _json


@BOTH
async def test_no_body_or_query_makes_the_api_fall_over(app: FastAPI, door) -> None:
    routes = [
        (method, path)
        for method, path, found in needs_of(app)
        if path.startswith("/api/v1") and found and found.action not in {*ENDLESS, "reading.read"}
    ]
    loop = asyncio.get_running_loop()
    async with await door.machine(["administrator", "registrar", "duty"]) as client:

        @settings(max_examples=150, deadline=None)
        @given(
            st.sampled_from(routes),
            _bodies.map(json.dumps),
            st.dictionaries(st.sampled_from(["limit", "cursor", "unit", "label", "site"]), _word),
            st.sampled_from(["s1", "x", "native-generic", "%00", "%F0%9F%94%A5"]),
        )
        def knock(route: tuple[str, str], body: str, query: dict[str, str], thing: str) -> None:
            method, path = route
            url = "https://city.test" + "/".join(thing if "{" in p else p for p in path.split("/"))
            headers = {"Content-Type": "application/json", "If-Match": "*"}
            asked = client.request(method, url, content=body, params=query, headers=headers)
            answer = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
            assert answer.status_code < 500, (method, url, body, query, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"

        await asyncio.to_thread(knock)
