"""The whole API against its own description: no 500, and no answer that it does not announce."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api import PREFIX
from registry.rights import GRANTABLE

#: An open stream does not end.
_ENDLESS = ("/api/v1/live",)
_CHECKS = [
    schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
#: Routes that change who asks: the client of this test would lose its own key.
_OWN = ("/api/v1/session", "/api/v1/setup")


def _operations(app: FastAPI) -> list[Any]:
    schema = schemathesis.openapi.from_dict(app.openapi())
    found = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(PREFIX) and not operation.path.startswith((*_ENDLESS, *_OWN)):
            found.append(operation)
    return found


async def _explore(
    app: FastAPI, client: httpx.AsyncClient, examples: int
) -> tuple[int, dict[str, str]]:
    """How many were asked, and the operations that answered otherwise than they say."""
    loop = asyncio.get_running_loop()
    operations = _operations(app)
    seen, wrong = 0, {}

    @settings(
        max_examples=examples, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    @given(st.data())
    def knock(data: st.DataObject) -> None:
        nonlocal seen
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        wanted = case.as_transport_kwargs(base_url="https://city.test")
        wanted.pop("cookies", None)
        wanted["headers"] = {
            name: value for name, value in wanted["headers"].items()
            if name.lower() not in ("authorization", "user-agent", "content-length")
        }  # fmt: skip
        body = wanted.pop("data", None)
        if isinstance(body, bytes | str):
            wanted["content"] = body
        asked = client.request(**wanted)
        answer = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
        seen += 1
        try:
            case.validate_response(answer, checks=_CHECKS)
        except FailureGroup as failures:
            told = " ".join(str(failure) for failure in failures.exceptions)
            wrong.setdefault(operation.label, f"{answer.status_code} {told} {answer.text[:300]}")

    await asyncio.to_thread(knock)
    return seen, wrong


async def test_the_api_answers_as_it_says(app: FastAPI, door) -> None:
    async with await door.machine([role for role in GRANTABLE if role != "dispatch"]) as client:
        seen, wrong = await _explore(app, client, 150)
    assert wrong == {}
    assert seen >= 90


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
async def test_the_api_answers_as_it_says_for_long(app: FastAPI, door, record_property) -> None:
    examples = int(os.environ.get("UTAA_FUZZ_EXAMPLES", "10000"))
    async with await door.machine(GRANTABLE) as client:
        seen, wrong = await _explore(app, client, examples)
    record_property("executions", seen)
    record_property("crashes", len(wrong))
    assert wrong == {}
    assert seen >= examples // 2
