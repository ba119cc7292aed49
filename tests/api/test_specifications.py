"""Specifications through the API: from a draft to a printed document that vouches for itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from registry.specifications.models import Specification
from tests.api.office import office_app

NEW: dict[str, Any] = {
    "kind": "camera", "title": "Төв талбайн хяналтын камер", "purpose": "Өдөр, шөнийн хяналт.",
    "budget_mnt": 125_000_000, "funding_source": "local_budget", "decide_by": "2026-05-01",
}  # fmt: skip


@pytest.fixture
def app(city, people) -> FastAPI:
    return office_app(city, people)


@pytest.fixture
async def author(door) -> AsyncIterator[httpx.AsyncClient]:
    async with await door.signed_in("bat.office", ["registrar"]) as client:
        yield client


@pytest.fixture
async def approver(door) -> AsyncIterator[httpx.AsyncClient]:
    async with await door.signed_in("dorj.office", ["approver"]) as client:
        yield client


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger in front of the pages."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://city.test") as client:
        yield client


async def _step(client: httpx.AsyncClient, spec: dict[str, Any], move: str, **body: str) -> Any:
    headers = {"If-Match": f'"{spec["version"]}"'}
    return await client.post(f"/specifications/{spec['id']}/{move}", headers=headers, json=body)


async def _draft(author: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    made = await author.post("/specifications", json={**NEW, **more})
    assert made.status_code == 201, made.text
    return made.json()


async def _approved(author: httpx.AsyncClient, approver: httpx.AsyncClient, spec: Any) -> Any:
    for client, move in ((author, "submit"), (approver, "take"), (approver, "approve")):
        answer = await _step(client, spec, move)
        assert answer.status_code == 200, answer.text
        spec = answer.json()
    return spec


async def test_from_draft_to_approved_and_superseded(author, approver, visitor) -> None:
    spec = await _draft(author)
    assert spec["number"].startswith("ТД-") and spec["number"].endswith("-0001")
    assert any("720" in row["text"] and row["source"] for row in spec["requirements"])
    spec = await _approved(author, approver, spec)
    assert spec["state"] == "approved" and spec["code"] and spec["content_sha256"]

    successor = (await author.post(f"/specifications/{spec['id']}/supersede")).json()
    assert successor["supersedes_id"] == spec["id"] and successor["number"].endswith("-0002")
    again = await author.post(f"/specifications/{spec['id']}/supersede")
    assert again.status_code == 409 and successor["number"] in again.json()["detail"]
    assert (await author.get(f"/specifications/{spec['id']}")).json()["state"] == "approved"
    await _approved(author, approver, successor)
    assert (await author.get(f"/specifications/{spec['id']}")).json()["state"] == "superseded"
    page = await visitor.get(f"/v/{spec['code']}")
    assert page.status_code == 200 and "Хүчингүй болсон" in page.text


async def test_who_wrote_any_of_it_does_not_approve_it(door, author, approver) -> None:
    async with await door.signed_in("both.office", ["registrar", "approver"]) as both:
        spec = await _draft(author)
        changed = await both.patch(
            f"/specifications/{spec['id']}", json={"title": "Өөр гарчиг"}, headers={"If-Match": '"1"'}
        )
        assert changed.status_code == 200, changed.text
        spec = (await _step(author, changed.json(), "submit")).json()
        refused = await _step(both, spec, "take")
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:utaa:problem:same-person")
        spec = (await _step(approver, spec, "take")).json()
        assert (await _step(both, spec, "approve")).status_code == 403
    async with await door.machine(["approver"]) as machine:
        refused = await _step(machine, spec, "approve")
        assert refused.json()["type"] == "urn:utaa:problem:not-a-person"
    assert (await _step(approver, spec, "approve")).status_code == 200


async def test_what_was_approved_is_never_changed(author, approver) -> None:
    spec = await _approved(author, approver, await _draft(author))
    url, seen = f"/specifications/{spec['id']}", {"If-Match": f'"{spec["version"]}"'}
    for answer in (
        await author.patch(url, json={"budget_mnt": 1}, headers=seen),
        await author.post(f"{url}/attachments?name=a.pdf", content=b"%PDF-1.7 a"),
        await _step(author, spec, "submit"),
        await _step(approver, spec, "return", reason="late"),
    ):
        assert answer.status_code == 409, answer.text
    assert (await author.post(f"{url}/comments", json={"text": "Баярлалаа"})).status_code == 201
    assert (await author.get(url)).json()["budget_mnt"] == 125_000_000


async def test_returning_needs_a_reason_that_the_author_reads(author, approver) -> None:
    spec = (await _step(author, await _draft(author), "submit")).json()
    spec = (await _step(approver, spec, "take")).json()
    assert (await _step(approver, spec, "return")).status_code == 422
    spec = (await _step(approver, spec, "return", reason="Төсөв дутуу")).json()
    assert spec["state"] == "returned"
    assert [(said["action"], said["text"]) for said in spec["comments"]] == [("return", "Төсөв дутуу")]
    waiting = (await author.get("/specifications/inbox")).json()["items"]
    assert [one["number"] for one in waiting] == [spec["number"]]


async def test_two_editors_see_both_versions(author) -> None:
    spec = await _draft(author)
    url = f"/specifications/{spec['id']}"
    assert (await author.patch(url, json={"budget_mnt": 1})).status_code == 428
    first = await author.patch(url, json={"budget_mnt": 1}, headers={"If-Match": '"1"'})
    second = await author.patch(url, json={"budget_mnt": 2}, headers={"If-Match": '"1"'})
    assert (first.status_code, second.status_code) == (200, 412)
    told = second.json()
    assert (told["seen"]["budget_mnt"], told["current"]["budget_mnt"]) == (125_000_000, 1)
    assert told["yours"] == {"budget_mnt": 2}


async def test_the_inbox_shows_what_is_overdue_first_and_nobody_their_own(
    author, approver, city
) -> None:
    later = await _draft(author, decide_by="2099-01-01", title="later")
    undated = await _draft(author, decide_by=None, title="undated")
    overdue = await _draft(author, decide_by="2020-01-01", title="overdue")
    for spec in (later, undated, overdue):
        assert (await _step(author, spec, "submit")).status_code == 200
    items = (await approver.get("/specifications/inbox")).json()["items"]
    assert [one["title"] for one in items] == ["overdue", "later", "undated"]
    assert [one["overdue"] for one in items] == [True, False, False]
    assert (await author.get("/specifications/inbox")).json()["items"] == []


async def test_files_are_kept_by_content_and_given_back_to_be_saved(author, approver, city) -> None:
    spec = await _draft(author)
    url = f"/specifications/{spec['id']}/attachments"
    name = "../../төлөвлөгөө<1>.exe"
    made = await author.post(url, params={"name": name}, content=b"%PDF-1.7 plan")
    assert made.status_code == 201, made.text
    file = made.json()
    assert (
        file["media_type"] == "application/pdf" and "/" not in file["name"] and "<" not in file["name"]
    )
    twice = await author.post(url, params={"name": "again.pdf"}, content=b"%PDF-1.7 plan")
    assert twice.json()["id"] == file["id"]
    assert (await author.post(url, params={"name": "a"}, content=b"MZ\x90\xff")).status_code == 415
    read = await approver.get(f"{url}/{file['id']}")
    assert read.content == b"%PDF-1.7 plan"
    assert read.headers["content-disposition"].startswith("attachment;")
    large = await author.post(url, params={"name": "a"}, content=b"%PDF-" + b"0" * (2 << 20))
    assert large.status_code == 201
    too_large = await author.post(url, params={"name": "a"}, content=b"%PDF-" + b"0" * (20 << 20))
    assert too_large.status_code == 413
    assert (await author.delete(f"{url}/{file['id']}")).status_code == 204
    assert (await author.get(f"{url}/{file['id']}")).status_code == 404


async def test_the_printed_document_says_it_all_in_mongolian(author, approver, tmp_path: Path) -> None:
    spec = await _draft(author)
    draft = await author.get(f"/specifications/{spec['id']}/document")
    assert draft.headers["content-type"] == "application/pdf" and draft.content.startswith(b"%PDF-")
    spec = await _approved(author, approver, spec)
    printed = await author.get(f"/specifications/{spec['id']}/document")
    assert printed.content == (await author.get(f"/specifications/{spec['id']}/document")).content
    text = _text(printed.content, tmp_path)
    code = f"{spec['code'][:5]}-{spec['code'][5:]}"
    told = (spec["number"], NEW["title"], "125 000 000 ₮", "Орон нутгийн төсөв", "dorj.office")
    for wanted in (*told, code, spec["content_sha256"], "MNS 6423:2019"):
        assert wanted in text, wanted
    assert "Ноорог" in _text(draft.content, tmp_path) and "Ноорог" not in text


async def test_a_code_vouches_for_the_content_and_names_nobody(author, approver, visitor, city) -> None:
    spec = await _approved(author, approver, await _draft(author))
    typed = spec["code"].lower().replace("0", "o")
    page = await visitor.get(f"/v/{typed[:5]}-{typed[5:]}")
    assert page.status_code == 200 and spec["number"] in page.text
    assert spec["content_sha256"] in page.text
    for personal in ("bat.office", "dorj.office", spec["author_id"], spec["decided_by"]):
        assert personal not in page.text
    for wrong in ("00000-00000", "x" * 41, "%F0%9F%94%A5", "%00"):
        assert (await visitor.get(f"/v/{wrong}")).status_code == 404
    async with city.database.write() as session:  # somebody with the database's password
        await session.execute(update(Specification).values(budget_mnt=1))
    forged = await visitor.get(f"/v/{spec['code']}")
    assert "Бүртгэл өөрчлөгдсөн" in forged.text and spec["content_sha256"] not in forged.text


async def test_each_role_does_with_specifications_what_its_rights_say(app: FastAPI, door) -> None:
    writing = {"administrator", "registrar"}
    for role in ("registrar", "approver", "technician", "duty", "auditor", "administrator"):
        async with await door.machine([role]) as client:
            assert (await client.get("/specifications")).status_code == 200
            made = await client.post("/specifications", json=NEW)
            assert (made.status_code == 201) is (role in writing), role
    async with door.client() as stranger:
        assert (await stranger.get("/specifications")).status_code == 401


def _text(content: bytes, folder: Path) -> str:
    """The text of a PDF; skips where Debian's poppler-utils are not installed."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    (folder / "printed.pdf").write_bytes(content)
    ran = subprocess.run(
        ["pdftotext", "-layout", folder / "printed.pdf", "-"], capture_output=True, check=True
    )
    return ran.stdout.decode().replace("\u00a0", " ")
