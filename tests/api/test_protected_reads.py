"""Whoever reads a sealed field is written down: every route of the API is tried, none is listed here.

Every sealed column holds a mark. A route whose answer shows one must have added an entry to the audit.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import zipfile
from datetime import date
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from gateway.cameras.models import CameraEvidence, CameraHealth
from gateway.door import needs_of
from registry.cameras.models import Camera
from registry.fieldwork.models import FieldPicture
from registry.models import (
    AuditEntry,
    Contact,
    ContactChannel,
    Detector,
    Household,
    Organisation,
    Person,
    Site,
)
from registry.requests.models import CityRequest
from registry.rights import ACTIONS, GRANTABLE
from registry.sealed import SealedText
from registry.servers.models import Licence

#: Every record has this id, so that any path finds its own.
ID = "x1-0123456789abcdef"
_MARK = re.compile(rb"shown-([a-z_]+\.[a-z_]+)-shown")
#: What is not an id in a path.
_WORDS = {"which": "picture", "evidence_id": "1", "kind": "household", "format": "geojson"}
#: These do not end by themselves, and tell no sealed field: only that something changed.
_STREAMS = {"/api/v1/live", "/api/v1/field/detectors/{detector_id}/changes"}
#: So long an answer may take on a loaded machine.
_PATIENCE_S = 20.0
#: Changes nothing but the audit, although it is a POST.
_READING = {action for action in ACTIONS if action.endswith((".open", ".export"))}
#: Sealed for programs alone: no route ever shows them.
_NEVER = {"second_factor.secret", "register_import.content", "register_import.repairs",
          "khur_answer.answer", "local_page.secret", "person.name"}  # fmt: skip


def _mark(name: str) -> str:
    return f"shown-{name}-shown"


def _rows(keyring: Any) -> list[Any]:
    """One of each record with something sealed in it."""

    def sealed(table: Any) -> dict[str, Any]:
        values = {}
        for column in table.__table__.columns:
            if isinstance(column.type, SealedText):
                name = f"{table.__tablename__}.{column.name}"
                text = _mark(name)
                if table in (CameraEvidence, FieldPicture):
                    text = base64.b64encode(b"\xff\xd8\xff" + text.encode()).decode()
                values[column.name] = keyring.seal(text, name)
        return values

    return [
        Site(id=ID, title="Цэг", created_us=1),
        Organisation(id=ID, name="Байгууллага", created_us=1, **sealed(Organisation)),
        Person(id=ID, login="x1", created_us=1, **sealed(Person)),
        Household(id=ID, label="h", site_id=ID, created_us=1, **sealed(Household)),
        Contact(id=ID, household_id=ID, **sealed(Contact)),
        ContactChannel(
            id=ID, contact_id=ID, channel="email", address_fingerprint="0", **sealed(ContactChannel)
        ),
        Detector(id=ID, site_id=ID, source="native", address="d", household_id=ID, status="in_service"),
        Camera(id=ID, number="1", name="Камер", state="active", created_us=1, **sealed(Camera)),
        CameraHealth(camera_id=ID, site_id=ID, address="rtsp://x", summary="ok", at_us=1),
        CameraEvidence(
            id=1, camera_id=ID, site_id=ID, epoch="e", seq=1, at_us=1, transition="raise", summary="ok",
            **sealed(CameraEvidence),
        ),
        Licence(id=ID, name="Лиценз", created_us=1, **sealed(Licence)),
        CityRequest(
            id=ID, number="1", code_hash="0", kind="complaint", subject="other", channel="desk",
            received_us=1, due_on=date(2026, 1, 1), **sealed(CityRequest),
        ),
        FieldPicture(
            id=ID, actor="a", detector_id=ID, sha256="0", size_bytes=1, received_us=1,
            **sealed(FieldPicture),
        ),
    ]  # fmt: skip


def _said(content: bytes) -> bytes:
    """The answer, unpacked if it is an archive."""
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


async def _entries(city: Any) -> int:
    async with city.database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(AuditEntry)) or 0)


@pytest.fixture
async def full(city: Any) -> Any:
    for row in _rows(city.keyring):
        async with city.database.write() as session:
            session.add(row)
    return city


async def test_a_route_that_shows_a_sealed_field_leaves_an_entry(
    app: FastAPI, door: Any, full: Any
) -> None:
    shown: dict[str, str] = {}
    silent: list[str] = []
    endless: list[str] = []
    async with await door.machine(list(GRANTABLE)) as client:
        for method, path, need in needs_of(app):
            if not path.startswith("/api/v1") or need is None or path in _STREAMS:
                continue
            if method != "GET" and (method != "POST" or need.action not in _READING):
                continue
            url = re.sub(r"{(\w+)(:\w+)?}", lambda part: _WORDS.get(part[1], ID), path)
            before = await _entries(full)
            body = {"reason": "asked"} if method == "POST" else None
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    answer = await client.request(method, f"https://city.test{url}", json=body)
            except TimeoutError:
                endless.append(path)
                continue
            for name in {mark.decode() for mark in _MARK.findall(_said(answer.content))}:
                shown[name] = path
                if await _entries(full) == before:
                    silent.append(f"{method} {path}: {name}")
    assert (silent, endless) == ([], [])
    sealed = {
        f"{table.name}.{column.name}"
        for table in Site.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, SealedText)
    }
    unseen = sealed - set(shown) - _NEVER - {"camera_evidence.reference"}
    assert unseen == set(), "no route showed them: is the test's record not found?"
    assert not set(shown) & _NEVER
