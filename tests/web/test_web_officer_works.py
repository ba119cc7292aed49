"""The officer's works on pages: imports, specifications, fibre, the audit, residents' requests."""

from __future__ import annotations

import re

import httpx
from sqlalchemy import select

from gateway.web.words import words_for
from registry.cameras.models import Camera
from registry.importing.models import RegisterImport
from registry.models import AuditEntry
from registry.specifications.models import Specification
from tests.web.conftest import Web
from tests.web.test_web_officer_cameras import hidden

MN = words_for("mn")
TABLE = (
    "Дугаар,Нэр,Өргөрөг,Уртраг,MAC\n"
    "DK-0900,Уулзвар,47.91,106.92,3c:ef:8c:01:02:03\n"
    "DK-0901,Сургууль,149.48,106.93,3c:ef:8c:01:02:04\n"
)


async def _upload(web: Web, content: str = TABLE) -> str:
    page = await web.browser.get("/imports")
    taken = await web.browser.post(
        "/imports", data={"csrf": hidden(page, "csrf"), "kind": "cameras"},
        files={"file": ("cameras.csv", content.encode(), "text/csv")},
    )  # fmt: skip
    assert taken.status_code == 303, taken.text
    return taken.headers["location"]


async def _press(web: Web, at: str, to: str, **values: str) -> httpx.Response:
    page = await web.browser.get(at)
    known = {"csrf": hidden(page, "csrf")}
    if 'name="version"' in page.text:
        known["version"] = hidden(page, "version")
    return await web.browser.post(to, data={**known, **values})


async def _numbers(web: Web) -> list[str]:
    async with web.database.read() as session:
        living = select(Camera.number).where(Camera.gone_us.is_(None)).order_by(Camera.number)
        return list(await session.scalars(living))


async def test_an_import_is_repaired_in_place_taken_and_undone(web: Web) -> None:
    await web.enter("officer", "registrar")
    at = await _upload(web)
    trial = await web.browser.get(at)
    assert "DK-0901" in trial.text and "149.48" in trial.text
    assert MN("Take all rows") not in trial.text
    cell = re.search(r'name="(cell C3)" value="149.48"', trial.text)
    assert cell, trial.text
    await _press(web, at, f"{at}/repair", **{"cell C3": "47.92", "was C3": "149.48"})
    good = await web.browser.get(at)
    assert MN("The whole file can be taken.") in good.text
    assert (await _press(web, at, f"{at}/apply", mode="all")).status_code == 303
    assert await _numbers(web) == ["DK-0900", "DK-0901"]
    assert (await _press(web, at, f"{at}/undo", reason="")).status_code == 422
    assert (await _press(web, at, f"{at}/undo", reason="wrong file")).status_code == 303
    assert await _numbers(web) == []
    assert MN.of("import state", "undone") in (await web.browser.get(at)).text


async def test_a_page_that_waits_is_told_how_far_its_import_is(web: Web) -> None:
    await web.enter("officer", "registrar")
    at = await _upload(web, TABLE.replace("149.48", "47.92"))
    assert (await web.browser.get(f"{at}/progress")).json() == {}
    page = (await web.browser.get(at)).text
    assert f'data-address="{at}/progress"' in page and "<progress" in page
    assert (await _press(web, at, f"{at}/apply", mode="all")).status_code == 303
    assert (await web.browser.get(f"{at}/progress")).json() == {}
    far = {"step": "write", "done": 1_500, "of": 70_000, "at_us": web.city.clock.now_us()}
    async with web.database.write() as session:  # whichever process is at it
        (await session.get_one(RegisterImport, at.rpartition("/")[2])).progress = far
    said = (await web.browser.get(f"{at}/progress?lang=en")).json()
    assert said == {"text": "Rows written: 1,500 of 70,000", "done": 1_500, "of": 70_000}


async def test_only_the_rows_that_hold_can_be_taken(web: Web) -> None:
    await web.enter("officer", "registrar")
    at = await _upload(web)
    whole = await _press(web, at, f"{at}/apply", mode="all")
    assert whole.status_code == 422 and await _numbers(web) == []
    await _press(web, at, f"{at}/apply", mode="rows")
    assert await _numbers(web) == ["DK-0900"]


async def test_what_is_no_table_is_refused_in_words_and_an_unsigned_upload_too(web: Web) -> None:
    await web.enter("officer", "registrar")
    page = await web.browser.get("/imports")
    files = {"file": ("cameras.xlsx", b"no table", "text/csv")}
    form = {"csrf": hidden(page, "csrf"), "kind": "cameras"}
    refused = await web.browser.post("/imports", data=form, files=files)
    assert refused.status_code == 422 and MN("The file was not taken.") in refused.text
    stray = await web.browser.post("/imports", data={"kind": "cameras"}, files=files)
    assert stray.status_code == 403


async def test_two_people_bring_a_specification_from_draft_to_approval(web: Web) -> None:
    await web.somebody("approver", "approver")
    await web.enter("officer", "registrar")
    made = await _press(
        web, "/specifications/new", "/specifications/new", kind="camera", title="Камер 2026"
    )
    at = made.headers["location"].removesuffix("/edit")
    empty = await _press(web, f"{at}/edit", f"{at}/edit", kind="camera", title="", purpose="зорилго")
    assert empty.status_code == 422 and "зорилго" in empty.text
    await _press(
        web, f"{at}/edit", f"{at}/edit", **{"kind": "camera", "title": "Камер 2026", "text 1": "4 МП"}
    )
    assert "4 МП" in (await web.browser.get(at)).text
    assert (await _press(web, at, f"{at}/move/submit")).status_code == 303
    assert "/move/take" not in (await web.browser.get(at)).text  # not by its author
    web.browser.cookies.clear()
    await web.sign_in("approver")
    assert "Камер 2026" in (await web.browser.get("/specifications")).text.split('id="all"')[0]
    await _press(web, at, f"{at}/move/take")
    refused = await _press(web, at, f"{at}/move/return", reason="")
    assert refused.status_code == 422 and MN("Say why.") in refused.text
    assert (await _press(web, at, f"{at}/comments", text="Сайн байна")).status_code == 303
    assert (await _press(web, at, f"{at}/move/approve")).status_code == 303
    page = (await web.browser.get(at)).text
    assert MN.of("specification state", "approved") in page and "Сайн байна" in page
    async with web.database.read() as session:
        assert await session.scalar(select(Specification.state)) == "approved"


async def test_a_file_is_attached_by_its_content(web: Web) -> None:
    await web.enter("officer", "registrar")
    made = await _press(web, "/specifications/new", "/specifications/new", kind="camera", title="A")
    at = made.headers["location"].removesuffix("/edit")
    csrf = {"csrf": hidden(await web.browser.get(at), "csrf")}
    bad = {"file": ("plan.pdf", b"MZ\x90\x00\x03\x00", "application/pdf")}
    refused = await web.browser.post(f"{at}/attachments", data=csrf, files=bad)
    assert refused.status_code == 415


async def test_the_audit_is_for_those_who_audit_and_is_filtered(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _press(web, "/cameras/new", "/cameras/new", number="DK-1")
    assert (await web.browser.get("/audit")).status_code == 403
    web.browser.cookies.clear()
    await web.enter("auditor", "auditor")
    async with web.database.read() as session:
        camera = await session.scalar(
            select(AuditEntry.object_id).where(AuditEntry.object_kind == "camera")
        )
    page = (await web.browser.get("/audit?kind=camera")).text
    assert f"/cameras/{camera}" in page and "officer" in page
    assert MN("Nothing fits the filter.") in (await web.browser.get("/audit?kind=rack")).text


async def test_a_resident_says_something_and_reads_the_answer_by_the_code(web: Web) -> None:
    form = {"kind": "complaint", "subject": "camera", "text": "", "name": "Бат"}
    empty = await web.browser.post("/requests", data=form)
    assert empty.status_code == 422 and 'value="Бат"' in empty.text
    said = await web.browser.post("/requests", data={**form, "text": "Камер харахгүй байна"})
    code = re.search(r'class="code-big">([^<]+)<', said.text)
    assert code and "Камер харахгүй" not in said.text
    answer = await web.browser.post("/requests/answer", data={"code": code[1].lower()})
    assert answer.status_code == 200 and MN("It is not answered yet.") in answer.text
    wrong = await web.browser.post("/requests/answer", data={"code": "AAAA-AAAA"})
    assert wrong.status_code == 422


async def test_an_empty_plant_and_empty_works_say_so(web: Web) -> None:
    await web.enter("officer", "registrar")
    assert MN("There is no fibre yet.") in (await web.browser.get("/fibre")).text
    unknown = (await web.browser.get("/fibre?element=cable:none")).text
    assert MN("The plant has nothing of that name.") in unknown
    assert MN("None is late.") in (await web.browser.get("/works")).text
