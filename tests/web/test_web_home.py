"""A family's own pages in a browser without JavaScript: coming in, looking, answering, wishes."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from alerts import consent
from alerts.channels.base import Message, Outcome
from alerts.doors import Doors
from alerts.models import Consent, Delivery, Incident, IncidentEntry
from edge.wire.clock import US_PER_S
from gateway.web.words import words_for
from registry.acts import Act
from registry.models import AuditEntry, Contact, ContactChannel
from registry.requests.models import CityRequest
from registry.residents import service as residents
from registry.residents.models import HomeSession
from registry.rights import SYSTEM
from tests.web.conftest import NOW_US, Web
from tests.web.homes import HOME, MAIL, NUMBER, Levels, burn, fill

MN = words_for("mn")


class Box:
    """A channel that keeps what it is given."""

    timeout_s = 5.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[Message] = []

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        return Outcome("accepted", "")


@pytest.fixture
async def family(web: Web) -> Web:
    """A home that is known to the city; nobody is on its page yet."""
    await fill(web.database, web.city.keyring, NOW_US)
    web.city.readings = Levels()
    web.city.doors = Doors(channels={"sms": Box("sms"), "email": Box("email")})  # type: ignore[dict-item]
    return web


async def _link(web: Web, life_us: int = residents.ASKED_LIFE_US) -> str:
    async with web.database.write() as session:
        act = Act(SYSTEM, web.city.clock.now_us())
        return f"/home/in/{await residents.new_link(session, act, HOME, life_us)}"


async def _come_home(web: Web) -> httpx.AsyncClient:
    assert (await web.browser.post(await _link(web))).headers["location"] == "/home"
    return web.browser


async def _press(web: Web, action: str, page: str = "/home", **form: Any) -> httpx.Response:
    """Send a form with the token that the page has."""
    shown = (await web.browser.get(page)).text
    found = re.search(r'name="csrf" value="([^"]+)"', shown)
    token = found[1] if found else re.search(r'data-csrf="([^"]+)"', shown)[1]  # type: ignore[index]
    return await web.browser.post(action, data={"csrf": token, **form})


async def test_a_link_opens_one_browser_once_and_a_preview_uses_nothing_up(family: Web) -> None:
    link = await _link(family)
    for _ in range(3):
        assert MN("Open the page of my home") in (await family.browser.get(link)).text
    assert (await family.browser.get("/home")).headers["location"] == "/home/ask"
    assert (await family.browser.post(link)).headers["location"] == "/home"
    assert MN("Your home is safe") in (await family.browser.get("/home")).text
    family.browser.cookies.clear()
    assert (await family.browser.post(link)).status_code == 410
    assert (await family.browser.get(link)).status_code == 410


async def test_a_link_is_worth_nothing_after_its_time(family: Web) -> None:
    link = await _link(family)
    family.city.clock.advance(timedelta(hours=2))
    assert (await family.browser.post(link)).status_code == 410
    assert MN("This link no longer works") in (await family.browser.get("/home/in/" + "x" * 500)).text


async def test_only_hashes_of_links_and_cookies_are_stored(family: Web) -> None:
    home = await _come_home(family)
    cookie = home.cookies["__Host-utaa_home"]
    async with family.database.read() as session:
        stored = (await session.scalars(select(HomeSession))).one()
    assert cookie not in (stored.token_hash, stored.csrf)


async def test_the_answer_to_asking_is_the_same_for_a_stranger(family: Web) -> None:
    answers = [
        await family.browser.post("/home/ask", data={"reach": typed})
        for typed in (NUMBER, "99000000", "nonsense", MAIL)
    ]
    assert len({(one.status_code, one.headers["location"], one.text) for one in answers}) == 1
    sms, mail = (family.city.doors.channels[name].sent for name in ("sms", "email"))
    assert (len(sms), len(mail)) == (1, 1)
    link = re.search(r"/home/in/\S+", mail[0].body)[0]  # type: ignore[index]
    assert (await family.browser.post(link)).headers["location"] == "/home"


async def test_asking_again_and_again_is_heard_no_more(family: Web) -> None:
    asked = [await family.browser.post("/home/ask", data={"reach": NUMBER}) for _ in range(12)]
    assert [one.status_code for one in asked].count(429) == 2
    assert len(family.city.doors.channels["sms"].sent) == residents.ASK.one


async def test_the_page_says_of_each_detector_its_last_word(family: Web) -> None:
    page = (await (await _come_home(family)).get("/home")).text
    assert "унтлагын өрөө" in page and "зуухны дэргэд" in page
    assert 'data-state="safe"' in page
    assert "19,5" in page or "19.5" in page
    assert "<script>" not in page and "style=" not in page


async def test_a_home_that_is_not_heard_is_never_called_safe(family: Web) -> None:
    home = await _come_home(family)
    family.city.clock.advance(timedelta(hours=7))
    page = (await home.get("/home")).text
    assert 'data-state="unheard"' in page and MN("Your home is safe") not in page


async def test_a_fire_is_acknowledged_from_the_page_and_the_desk_sees_who(family: Web) -> None:
    home = await _come_home(family)
    incident_id = await burn(family.database, NOW_US)
    page = (await home.get("/home")).text
    assert 'data-state="danger"' in page and 'href="tel:101"' in page
    assert page.index(MN("Wake everybody. Get out.")) < page.index(MN("We are safe"))
    await _press(family, f"/home/incidents/{incident_id}/answer", said="safe")
    async with family.database.read() as session:
        incident = await session.get_one(Incident, incident_id)
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "contact 1")
    assert MN("You said that all are safe. The others know.") in (await home.get("/home")).text


async def test_help_climbs_to_the_next_people_and_acknowledges_nothing(family: Web) -> None:
    home = await _come_home(family)
    incident_id = await burn(family.database, NOW_US)
    for _ in range(2):  # pressed twice, told once
        await _press(family, f"/home/incidents/{incident_id}/answer", said="help")
    async with family.database.read() as session:
        incident = await session.get_one(Incident, incident_id)
        lines = await session.scalars(
            select(IncidentEntry).where(IncidentEntry.what == "home_answered")
        )
        assert [line.detail for line in lines] == [{"said": "help"}]
    assert incident.state == "opened" and incident.rung > 0
    assert (
        MN("You asked for help. The others are being told. Call 101 as well.")
        in (await home.get("/home")).text
    )


async def test_a_past_alarm_is_judged_by_its_family(family: Web) -> None:
    home = await _come_home(family)
    incident_id = await burn(family.database, NOW_US)
    await burn(family.database, NOW_US + US_PER_S, cleared_us=NOW_US + US_PER_S, raised_us=NOW_US)
    assert 'data-state="calmed"' in (await home.get("/home")).text
    await _press(family, f"/home/incidents/{incident_id}/judge", cause="cooking", back="/home/history")
    page = (await home.get("/home/history")).text
    assert MN("You said: {what}", what=MN("was cooking")) in page
    assert MN("The smoke alarm sounded.") in page


async def test_the_history_has_a_table_behind_each_chart(family: Web) -> None:
    home = await _come_home(family)
    for span, least in (("day", 40), ("week", 40)):
        page = (await home.get(f"/home/history?span={span}")).text
        assert page.count("<table") == 3
        assert page.count("data-s=") >= least


async def test_another_home_and_the_office_stay_closed_to_a_family(family: Web) -> None:
    home = await _come_home(family)
    async with family.database.write() as session:
        session.add(
            Incident(
                id="other", subject_kind="household", subject_id="h-2", site_id="s", hazard="fire",
                alarm_class="alarm", state="opened", raised_us=NOW_US, opened_us=NOW_US,
            )
        )  # fmt: skip
        other = Contact(household_id=None, role="desk", name=family.city.keyring.seal("A", "x"))
        session.add(other)
        await session.flush()
        contact_id = other.id
    assert (await _press(family, "/home/incidents/other/answer", said="safe")).status_code == 404
    assert (await _press(family, f"/home/contacts/{contact_id}/wishes")).status_code == 404
    for path in ("/api/v1/incidents", "/api/v1/households", "/api/v1/me", "/overview"):
        assert (await home.get(path)).status_code == 401, path


async def test_a_form_without_the_pages_token_changes_nothing(family: Web) -> None:
    home = await _come_home(family)
    incident_id = await burn(family.database, NOW_US)
    for path in (f"/home/incidents/{incident_id}/answer", "/home/out", "/home/say"):
        assert (await home.post(path, data={"said": "safe"})).status_code == 403


async def test_a_channel_is_added_proved_and_tested_from_the_page(family: Web) -> None:
    home = await _come_home(family)
    async with family.database.read() as session:
        first = (await session.scalars(select(Contact).where(Contact.position == 1))).one().id
    add = f"/home/contacts/{first}/channels"
    wrong = await _press(family, add, "/home/contacts", channel="sms", address="12", agreed="true")
    assert wrong.status_code == 422 and 'value="12"' in wrong.text
    assert MN("problem address") in wrong.text
    silent = await _press(family, add, "/home/contacts", channel="sms", address="95151515")
    assert MN("problem consent") in silent.text
    await _press(family, add, "/home/contacts", channel="sms", address="95151515", agreed="true")
    async with family.database.read() as session:
        rows = await session.scalars(select(ContactChannel).where(ContactChannel.contact_id == first))
        known = [row.id for row in rows]
    page = (await home.get("/home/contacts")).text
    assert "…15" in page and "95151515" not in page
    new = next(one for one in known if f"/home/channels/{one}/code" in page)
    for channel_id in known:
        if "…15" in page.split(channel_id)[0].rsplit("<li>", 1)[-1]:
            new = channel_id
    await _press(family, f"/home/channels/{new}/code", "/home/contacts")
    code = re.search(r"\d{6}", family.city.doors.channels["sms"].sent[-1].body)[0]  # type: ignore[index]
    bad = await _press(family, f"/home/channels/{new}/verify", "/home/contacts", code="000000x")
    assert bad.headers["location"].endswith("problem=wrong_code")
    good = await _press(family, f"/home/channels/{new}/verify", "/home/contacts", code=code)
    assert good.headers["location"].endswith("done=verified")
    await _press(family, f"/home/channels/{new}/test", "/home/contacts")
    async with family.database.read() as session:
        queued = await session.scalars(select(Delivery).where(Delivery.channel_id == new))
        assert [row.state for row in queued] == ["queued"]
    assert MN("sent queued") in (await home.get("/home/contacts")).text


async def test_quiet_hours_and_holidays_are_kept_and_nonsense_is_not(family: Web) -> None:
    home = await _come_home(family)
    async with family.database.read() as session:
        first = (await session.scalars(select(Contact).where(Contact.position == 1))).one().id
    wish = f"/home/contacts/{first}/wishes"
    kept = await _press(family, wish, "/home/contacts", quiet_from="21", quiet_until="9")
    assert kept.headers["location"].endswith("done=saved")
    for form in ({"quiet_from": "21"}, {"away_until": "1999-01-01"}, {"away_until": "soon"}):
        refused = await _press(family, wish, "/home/contacts", **form)
        assert refused.headers["location"].endswith("problem=wishes")
    async with family.database.read() as session:
        contact = await session.get_one(Contact, first)
    assert (contact.quiet_from_h, contact.quiet_until_h) == (21, 9)
    assert '<option value="21" selected>' in (await home.get("/home/contacts")).text


async def test_a_complaint_shows_its_number_its_due_day_and_its_answer(family: Web) -> None:
    home = await _come_home(family)
    empty = await _press(family, "/home/say", "/home/say", kind="complaint", text=" ")
    assert empty.status_code == 422
    sent = await _press(
        family, "/home/say", "/home/say", kind="complaint", subject="detector", text="Мэдрэгч дуугарна"
    )
    page = (await home.get(sent.headers["location"])).text
    async with family.database.read() as session:
        row = (await session.scalars(select(CityRequest))).one()
    assert row.number in page and row.due_on.isoformat() in page and "Мэдрэгч дуугарна" in page
    async with family.database.write() as session:
        from registry.requests import service

        kept = await session.get_one(CityRequest, row.id)
        await service.answer(session, family.city.keyring, Act(SYSTEM, NOW_US), kept, "Засна")
    assert "Засна" in (await home.get("/home/say")).text
    await _press(family, f"/home/requests/{row.id}/rate", "/home/say", satisfaction="4")
    async with family.database.read() as session:
        assert (await session.get_one(CityRequest, row.id)).satisfaction == 4


async def test_a_lost_phone_is_put_out_and_this_one_stays(family: Web) -> None:
    await _come_home(family)
    lost = family.browser.cookies["__Host-utaa_home"]
    family.browser.cookies.clear()
    await _come_home(family)
    await _press(family, "/home/out-others", "/home/contacts")
    assert (await family.browser.get("/home")).status_code == 200
    family.browser.cookies.set("__Host-utaa_home", lost)
    family.browser.cookies.clear()
    family.browser.cookies.set("__Host-utaa_home", lost, domain="utaa.test")
    assert (await family.browser.get("/home")).headers["location"] == "/home/ask"


async def test_what_a_family_does_is_in_the_audit_without_where_from(family: Web) -> None:
    await _come_home(family)
    incident_id = await burn(family.database, NOW_US)
    await _press(family, f"/home/incidents/{incident_id}/answer", said="safe")
    async with family.database.read() as session:
        entries = list(await session.scalars(select(AuditEntry)))
    said = next(one for one in entries if one.action == "home.answer")
    assert (said.actor, said.origin) == (f"home:{HOME}", "")


async def test_the_pages_are_mongolian_first_and_english_at_a_click(family: Web) -> None:
    home = await _come_home(family)
    for path in ("/home", "/home/history", "/home/contacts", "/home/say"):
        assert '<html lang="mn">' in (await home.get(path)).text
    assert "Your home is safe" in (await home.get("/home?lang=en")).text


async def test_the_page_can_be_installed(family: Web) -> None:
    manifest = (await family.browser.get("/manifest.webmanifest")).json()
    assert manifest["start_url"] == "/home" and manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert (await family.browser.get(icon["src"])).status_code == 200


async def test_a_family_saves_everything_that_is_held_on_its_home_and_nobody_elses(family: Web) -> None:
    refused = await family.browser.post("/home/file")
    assert refused.status_code in (401, 403)
    await _come_home(family)
    assert MN("Save my data") in (await family.browser.get("/home/contacts")).text
    saved = await _press(family, "/home/file", "/home/contacts")
    assert saved.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(saved.content)) as archive:
        held = json.loads(archive.read("data.json"))
        page = archive.read("index.html").decode()
    assert [each["id"] for each in held["homes"]] == [HOME]
    assert MAIL in {each["address"] for each in held["channels"]}
    assert MN("What the city holds about you") in page
    assert "Бат" in page
    async with family.database.read() as session:
        wanted = select(AuditEntry).where(AuditEntry.action == "household.export")
        entry = (await session.scalars(wanted)).one()
        assert (entry.actor, entry.origin) == (f"home:{HOME}", "")
    for _ in range(5):
        last = await _press(family, "/home/file", "/home/contacts")
    assert last.headers["location"] == "/home/contacts?problem=often"


async def test_the_page_shows_the_text_of_consent_and_keeps_its_version(family: Web) -> None:
    await _come_home(family)
    shown = (await family.browser.get("/home/contacts")).text
    text = consent.text_of(consent.current(), "mn", "Бат")
    assert text is not None
    assert text in shown
    async with family.database.read() as session:
        contact = await session.scalar(select(Contact.id).where(Contact.position == 1))
    add = f"/home/contacts/{contact}/channels"
    await _press(family, add, "/home/contacts", channel="sms", address="95151515", agreed="true")
    async with family.database.read() as session:
        row = (await session.scalars(select(Consent))).one()
    assert (row.given, row.how, row.text_version) == (True, "page", consent.current())


def test_a_text_of_consent_that_was_shown_never_changes() -> None:
    first = "{name} энэ гэрийн дохиог энд хүлээн авахыг зөвшөөрсөн."
    assert consent.texts()["2026-01"]["mn"] == first
    fingerprint = hashlib.sha256(json.dumps(consent.texts(), ensure_ascii=False).encode()).hexdigest()
    assert fingerprint == "476fd2a4f530db8e68fa1868954a345f9ad05d6c215a2ff68fa0a94908d27a6a", (
        "a new wording is a new version at the end of consents.toml"
    )
