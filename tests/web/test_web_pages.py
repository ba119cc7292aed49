"""The pages through the door a browser uses: who sees what, in which language, and signing in."""

from __future__ import annotations

import re

from alerts.acknowledge import issue
from alerts.models import AlarmRecord, Incident, Notification
from edge.wire.messages import CLASS_OF
from gateway.models import LatestReading, SiteState
from gateway.web.page import NAVIGATION
from gateway.web.words import LANGUAGES, words_for
from registry.models import Contact, Detector, Household, Site
from tests.web.conftest import LOCALE, NOW_US, PASSWORD, Web


async def _a_fire(web: Web, site: str = "s1", unit: str = "1125", label: str = "GER-1") -> None:
    """A home with a smoke detector in alarm, and a quiet one that nobody has registered."""
    async with web.database.write() as session:
        session.add(Site(id=site, title=f"Цэг {site}", unit_code=unit, created_us=1))
        await session.flush()
        session.add(SiteState(site_id=site, state="online", heard_us=NOW_US))
        session.add(Household(id=f"h-{site}", label=label, site_id=site, unit_code=unit, created_us=1))
        await session.flush()
        for name, household in ((f"d1-{site}", f"h-{site}"), (f"d2-{site}", None)):
            session.add(
                Detector(
                    id=name, site_id=site, source="native", address=name, household_id=household,
                    status="in_service" if household else "unregistered",
                    place="зуух" if household else "",
                )
            )  # fmt: skip
            session.add(
                LatestReading(
                    detector_id=name, site_id=site, time_us=NOW_US, optical_density_db_m=1.234
                )
            )
        session.add(
            Incident(
                id=f"i-{site}", open_key=f"h-{site}/fire", subject_kind="household",
                subject_id=f"h-{site}", site_id=site, household_id=f"h-{site}", unit_code=unit,
                hazard="fire", alarm_class="alarm", state="opened",
                raised_us=NOW_US - 60_000_000, opened_us=NOW_US,
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            AlarmRecord(
                id=f"a-{site}", site_id=site, epoch="e", detector_id=f"d1-{site}", kind="smoke",
                alarm_class="alarm", raised_us=NOW_US - 60_000_000, revision=1, reason="smoke",
                arrived_us=NOW_US, incident_id=f"i-{site}",
            )
        )  # fmt: skip


async def test_a_visitor_is_sent_to_the_first_start_and_later_to_signing_in(web: Web) -> None:
    assert (await web.browser.get("/")).headers["location"] == "/setup"
    await web.somebody("duty.one", "duty")
    assert (await web.browser.get("/")).headers["location"] == "/signin"
    assert (await web.browser.get("/overview")).status_code == 401
    assert (await web.browser.get("/changes")).status_code == 401


async def test_the_first_administrator_is_made_on_the_page_by_the_code(web: Web) -> None:
    code = await web.people.ensure_setup_code()
    form = {"code": "WRON-GWRO-NGWR-ONGW", "login": "boss", "password": PASSWORD}
    refused = await web.browser.post("/setup", data=form)
    assert refused.status_code == 400
    assert words_for("mn")("That code is wrong, used or too old.") in refused.text
    made = await web.browser.post("/setup", data={**form, "code": code or ""})
    assert made.headers["location"] == "/signin"
    assert (await web.sign_in("boss")).headers["location"] == "/"


async def test_the_overview_says_what_burns_in_mongolian_and_in_english(web: Web) -> None:
    await web.somebody("duty.one", "duty")
    await _a_fire(web)
    await web.sign_in("duty.one")
    page = (await web.browser.get("/")).text
    assert '<html lang="mn">' in page
    assert "Одоо 1 айл аюулд байна" in page
    assert "GER-1" in page and "зуух" in page
    assert "1.23" in page
    assert "Бүртгээгүй" in page
    english = (await web.browser.get("/?lang=en")).text
    assert "Homes in danger now: 1" in english
    assert '<html lang="en">' in (await web.browser.get("/")).text  # it is remembered


async def test_a_closed_incident_whose_alarm_still_sounds_is_not_quiet(web: Web) -> None:
    await _a_fire(web)
    web.settings.open_overview = True
    async with web.database.write() as session:
        incident = await session.get_one(Incident, "i-s1")
        incident.state, incident.open_key, incident.resolved_us = "resolved", None, NOW_US
    page = (await web.browser.get("/")).text
    assert "Одоо 1 айл аюулд байна" in page
    assert words_for("mn")("closed, but an alarm still sounds") in page
    async with web.database.write() as session:
        (await session.get_one(AlarmRecord, "a-s1")).cleared_us = NOW_US
    assert "Бүх зүйл хэвийн" in (await web.browser.get("/")).text


async def test_a_detector_under_test_is_not_shown_in_danger(web: Web) -> None:
    await _a_fire(web)
    web.settings.open_overview = True
    async with web.database.write() as session:
        (await session.get_one(AlarmRecord, "a-s1")).test = True
        incident = await session.get_one(Incident, "i-s1")
        incident.hazard, incident.alarm_class = "test", "supervisory"
    page = (await web.browser.get("/")).text
    assert "detector-alarm" not in page
    assert "detector-supervisory" in page
    assert "аюулд байна" not in page


async def test_an_address_of_an_unregistered_detector_is_for_signed_in_eyes(web: Web) -> None:
    await _a_fire(web)
    web.settings.open_overview = True
    async with web.database.write() as session:
        (await session.get_one(Detector, "d2-s1")).address = "Батын өрөө"
    assert "Батын өрөө" not in (await web.browser.get("/")).text
    await web.somebody("duty.one", "duty")
    await web.sign_in("duty.one")
    assert "Батын өрөө" in (await web.browser.get("/")).text


async def test_a_fire_that_nobody_is_registered_to_hear_of_says_so(web: Web) -> None:
    await _a_fire(web)
    web.settings.open_overview = True
    assert words_for("mn")("nobody is registered to be told") in (await web.browser.get("/")).text


async def test_a_quiet_city_says_so(web: Web) -> None:
    web.settings.open_overview = True
    page = (await web.browser.get("/")).text
    assert "Бүх зүйл хэвийн" in page
    assert words_for("mn")("No site has reported yet.") in page


async def test_an_open_overview_shows_the_page_but_not_the_button(web: Web) -> None:
    await _a_fire(web)
    web.settings.open_overview = True
    page = (await web.browser.get("/")).text
    assert "GER-1" in page
    assert "/acknowledge" not in page
    refused = await web.browser.post("/incidents/i-s1/acknowledge")
    assert refused.status_code == 401


async def test_a_right_bounded_to_a_district_shows_that_district_alone(web: Web) -> None:
    await _a_fire(web, "s1", "112573", "GER-MINE")
    await _a_fire(web, "s2", "111664", "GER-OTHER")
    await web.somebody("duty.north", "duty", unit="1125")
    await web.sign_in("duty.north")
    page = (await web.browser.get("/")).text
    assert "GER-MINE" in page
    assert "GER-OTHER" not in page
    assert "Одоо 1 айл" in page


async def test_acknowledging_needs_the_sessions_own_token(web: Web) -> None:
    await _a_fire(web)
    await web.somebody("duty.one", "duty")
    await web.sign_in("duty.one")
    bare = await web.browser.post("/incidents/i-s1/acknowledge")
    assert bare.status_code == 403
    page = (await web.browser.get("/")).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf
    done = await web.browser.post("/incidents/i-s1/acknowledge", data={"csrf": csrf[1]})
    assert done.status_code == 303
    assert "хүлээн авсан" in (await web.browser.get("/")).text
    async with web.database.read() as session:
        incident = await session.get(Incident, "i-s1")
        assert incident is not None and incident.acknowledged_us == NOW_US


async def _link(web: Web) -> str:
    """The address in the message that the household of site s1 was sent."""
    async with web.database.write() as session:
        name = web.city.keyring.seal("Жишээ", "contact.name")
        session.add(Contact(id="c1", household_id="h-s1", name=name, position=1))
        await session.flush()
        session.add(
            Notification(
                id="n1", incident_id="i-s1", contact_id="c1", message="fire", language="mn",
                created_us=NOW_US,
            )
        )  # fmt: skip
    return f"/a/{issue(web.city.keyring, 'i-s1', 'n1', NOW_US)}"


async def test_one_tap_on_the_link_answers_but_a_preview_does_not(web: Web) -> None:
    await _a_fire(web)
    link = await _link(web)
    for _ in range(2):  # a preview fetches it too
        page = await web.browser.get(link)
        assert page.status_code == 200
        assert words_for("mn")("I have seen it") in page.text
    async with web.database.read() as session:
        incident = await session.get_one(Incident, "i-s1")
        assert incident.acknowledged_us is None
    assert (await web.browser.post(link)).status_code == 303
    after = (await web.browser.get(link)).text
    assert words_for("mn")("Somebody has answered. Thank you.") in after
    async with web.database.read() as session:
        incident = await session.get_one(Incident, "i-s1")
        assert (incident.acknowledged_us, incident.acknowledged_by) == (NOW_US, "contact 1")


async def test_a_forged_or_cut_link_says_so_and_still_names_101(web: Web) -> None:
    await _a_fire(web)
    link = await _link(web)
    for bad in (link[:-1] + ("A" if link[-1] != "A" else "B"), "/a/nonsense"):
        answer = await web.browser.get(bad)
        assert answer.status_code == 410
        assert "101" in answer.text
        assert (await web.browser.post(bad)).status_code == 410


async def test_signing_in_never_leads_out_of_the_site(web: Web) -> None:
    await web.somebody("duty.one", "duty")
    for bad in ("https://evil.test/", "//evil.test/", "/\\evil.test"):
        web.browser.cookies.clear()
        form = {"login": "duty.one", "password": PASSWORD, "next": bad}
        assert (await web.browser.post("/signin", data=form)).headers["location"] == "/"


async def test_somebody_signed_in_can_sign_in_as_somebody_else(web: Web) -> None:
    await web.somebody("duty.one", "duty")
    await web.somebody("duty.two", "duty")
    await web.sign_in("duty.one")
    form = (await web.browser.get("/signin")).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', form)
    assert csrf
    fields = {"login": "duty.two", "password": PASSWORD, "next": "/", "csrf": csrf[1]}
    assert (await web.browser.post("/signin", data=fields)).headers["location"] == "/"


async def test_a_wrong_password_keeps_the_name_and_says_so(web: Web) -> None:
    await web.somebody("duty.one", "duty")
    form = {"login": "duty.one", "password": "not the password", "next": "/"}
    answer = await web.browser.post("/signin", data=form)
    assert answer.status_code == 401
    assert 'value="duty.one"' in answer.text
    assert words_for("mn")("Wrong name or password.") in answer.text


async def test_what_a_clerk_or_device_wrote_is_text_and_never_markup(web: Web) -> None:
    web.settings.open_overview = True
    await _a_fire(web, label="<script>alert(1)</script>")
    page = (await web.browser.get("/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def _asked() -> set[str]:
    """Every text that a template asks for, and the names in the navigation."""
    asked = set(CLASS_OF) | {room.name for room in NAVIGATION}
    for template in (LOCALE.parent / "templates").rglob("*.html"):
        asked |= {key for _, key in re.findall(r"""words\((["'])(.+?)\1""", template.read_text())}
    return asked


def test_every_text_a_template_asks_for_is_in_both_languages() -> None:
    for language in LANGUAGES:
        texts = words_for(language).catalogue
        assert not _asked() - set(texts), language
        for key, text in texts.items():
            assert text, f"{language}: {key}"
            assert sorted(re.findall(r"{\w+}", key)) == sorted(re.findall(r"{\w+}", text)), key


def test_both_languages_have_the_same_catalogues_and_keys() -> None:
    mongolian, english = (words_for(language).catalogue for language in LANGUAGES)
    assert set(mongolian) == set(english)


#: Names that stay as they are in any language.
_UNCHANGED = re.compile(
    r"{\w+}|\b(CO|ppm|QR|PDF|XLSX|CSV|GeoJSON|KML|XML|IP|MAC|RTSP|ONVIF|DORI|OTDR|SOR|MNS|GPS|SVG|URL|CAP"
    r"|SMS|DVR|NVR|WGS84|OFDS|TIA|ODF|POP|ID|API|HTTP|DAN|KHUR|Utaa|Facebook|Messenger|utaa|TOTP|UPS|SHA|IR|HFOV)\b"
)


def test_mongolian_pages_hold_no_english_words() -> None:
    for key, text in words_for("mn").catalogue.items():
        if key != "English":
            assert not re.search(r"[A-Za-z]{2,}", _UNCHANGED.sub("", text)), key
