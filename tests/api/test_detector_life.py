"""A detector's life: every status, step and role; its places; another taking its place."""

from __future__ import annotations

import pytest

from registry.detector_life import ASKED, STATUSES, STEPS
from registry.models import Detector, Household, Site
from registry.rights import GRANTABLE, ROLES
from registry.stays import stays_of

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
MATCH = {"If-Match": "*"}
PROOFS = {
    "install": {"installed_on": "2026-01-05"},
    "commission": {"tested_on": "2026-01-06", "alarm_heard": True},
    "break": {"found_on": "2026-01-07", "fault": "battery"},
    "repair": {"repaired_on": "2026-01-08", "work": "new battery"},
}
#: The table once more, by hand: where each step leads from each status it may be taken from.
WAYS = {
    "plan": ({"unregistered"}, "planned"),
    "install": ({"unregistered", "planned"}, "installed"),
    "commission": ({"installed"}, "commissioned"),
    "start": ({"unregistered", "planned", "installed", "commissioned"}, "in_service"),
    "break": ({"in_service"}, "faulty"),
    "repair": ({"faulty"}, "in_service"),
    "retire": (
        {"unregistered", "planned", "installed", "commissioned", "in_service", "faulty"}, "retired",
    ),
    "bring_back": ({"retired"}, "in_service"),
}  # fmt: skip


@pytest.fixture
async def home(city) -> str:
    async with city.database.write() as session:
        session.add(Site(id="s1", unit_code="1116", created_us=0))
        await session.flush()
        session.add(Household(id="h1", label="H-1", site_id="s1", created_us=0))
    return "h1"


def test_the_table_is_what_it_says_and_every_step_says_what_it_asks_for() -> None:
    assert {name: (set(step.origins), step.goal) for name, step in STEPS.items()} == WAYS
    assert ASKED.keys() == STEPS.keys()


async def test_every_status_step_and_role_is_answered_as_the_table_says(door, city, home) -> None:
    async with city.database.write() as session:
        session.add(Detector(id="d1", site_id="s1", source="native", address="d1"))
    for role in GRANTABLE:
        async with await door.machine([role]) as client:
            for status in STATUSES:
                for name, (origins, goal) in WAYS.items():
                    async with city.database.write() as session:
                        detector = await session.get(Detector, "d1")
                        detector.status = status
                    body = {"evidence": PROOFS.get(name, {}), "reason": "test"}
                    url = f"/detectors/d1/steps/{name}"
                    answer = await client.post(url, json=body, headers=MATCH)
                    expected = 200 if status in origins else 409
                    if "detector.write" not in ROLES[role]:
                        expected = 403
                    assert answer.status_code == expected, (role, status, name, answer.text)
                    if expected == 200:
                        assert answer.json()["status"] == goal
                if "detector.write" not in ROLES[role]:
                    break  # refused at the door whatever its status


@BOTH
async def test_another_detector_takes_its_place_and_the_home_keeps_its_history(
    registrar, city, home
) -> None:
    body = {"source": "native", "address": "old", "household_id": home, "place": "stove"}
    made = await registrar.post("/detectors", json={"site_id": "s1", "detectors": [body]})
    (old,) = made.json()["items"]
    wanted = {"source": "native", "address": "new"}
    url = f"/detectors/{old['id']}/replace"
    assert (await registrar.post(url, json=wanted, headers=MATCH)).status_code == 422, "why?"
    answer = await registrar.post(url, json={**wanted, "reason": "worn out"}, headers=MATCH)
    assert answer.status_code == 200, answer.text
    new = answer.json()
    assert (new["household_id"], new["place"], new["status"]) == (home, "stove", "in_service")
    assert (await registrar.get(f"/detectors/{old['id']}")).json()["status"] == "retired"
    stays = (await registrar.get(f"/households/{home}/stays")).json()["items"]
    told = {row["detector_id"]: (row["until"] is None, row["replaces_id"]) for row in stays}
    assert told == {new["id"]: (True, old["id"]), old["id"]: (False, None)}
    life = (await registrar.get(f"/detectors/{old['id']}/life")).json()
    assert [step["to_state"] for step in life["steps"]] == ["retired"]
    assert life["steps"][0]["reason"] == "worn out"
    assert life["next"] == ["bring_back"]
    config = (await registrar.get("/sites/s1/config")).json()
    assert [row["address"] for row in config["detectors"]] == ["new"]
    gone = await registrar.post(url, json={**wanted, "reason": "again"}, headers=MATCH)
    assert gone.status_code == 409


async def test_moving_a_detector_writes_down_where_it_hung(registrar, city, home) -> None:
    body = {"source": "native", "address": "d", "household_id": home, "place": "stove"}
    made = await registrar.post("/detectors", json={"site_id": "s1", "detectors": [body]})
    ident = made.json()["items"][0]["id"]
    for change in ({"place": "bed"}, {"household_id": None}, {"place": "bed"}, {"status": "retired"}):
        answer = await registrar.patch(f"/detectors/{ident}", json=change, headers=MATCH)
        assert answer.status_code == 200, answer.text
    async with city.database.read() as session:
        stays = await stays_of(session, ident)
    assert {(stay.household_id, stay.place) for stay in stays} == {
        ("h1", "stove"), ("h1", "bed"), (None, "bed"),
    }  # fmt: skip
    assert all(stay.until_us is not None for stay in stays)


async def test_a_faulty_detector_is_still_listened_to(registrar, city, home) -> None:
    body = {"source": "native", "address": "d", "household_id": home}
    made = await registrar.post("/detectors", json={"site_id": "s1", "detectors": [body]})
    ident = made.json()["items"][0]["id"]
    step = {"evidence": PROOFS["break"]}
    answer = await registrar.post(f"/detectors/{ident}/steps/break", json=step, headers=MATCH)
    assert answer.json()["status"] == "faulty"
    config = (await registrar.get("/sites/s1/config")).json()
    assert [row["detector"] for row in config["detectors"]] == [ident]


async def test_two_people_edit_one_detector_and_the_second_sees_both_versions(
    registrar, city, home
) -> None:
    body = {"source": "native", "address": "d", "household_id": home, "place": "stove"}
    made = await registrar.post("/detectors", json={"site_id": "s1", "detectors": [body]})
    url = f"/detectors/{made.json()['items'][0]['id']}"
    etag = (await registrar.get(url)).headers["etag"]
    assert (await registrar.patch(url, json={"place": "bed"}, headers={"If-Match": etag})).is_success
    late = await registrar.patch(url, json={"place": "door"}, headers={"If-Match": etag})
    assert late.status_code == 412
    problem = late.json()
    places = [problem[side]["place"] for side in ("seen", "current", "yours")]
    assert places == ["stove", "bed", "door"]
    skipped = await registrar.patch(url, json={"status": "unregistered"}, headers=MATCH)
    assert skipped.status_code == 409
