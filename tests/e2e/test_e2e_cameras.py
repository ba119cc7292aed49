"""A camera from its fault to an incident and back: simulator, agent, brokers, gateway, all real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.wire.identity import detector_id
from firmware_sim.camera.film import Shape, film
from firmware_sim.camera.server import Camera, Server
from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until

pytest.importorskip("cv2")
pytestmark = pytest.mark.servers
SHAPE = Shape(width=320, height=240, rate_fps=10, length_s=4)
SECRET = "Zq7-hidden"
#: Every wait of the watch is a seventh, so that a test need not take minutes.
PATIENCE = 0.15
NAMES = tuple(f"cam{n}" for n in range(6))


def camera_id(name: str) -> str:
    return detector_id(SITE, "camera", name)


@pytest.fixture
async def cameras() -> AsyncIterator[Server]:
    async with Server({n: Camera(SHAPE, user="watch", password=SECRET) for n in NAMES}) as server:
        yield server


@pytest.fixture
async def home(tmp_path: Path, smtp: SmtpServer, cameras: Server) -> AsyncIterator[House]:
    good = tmp_path / "good"
    good.mkdir()
    for number, jpeg in enumerate(film(SHAPE).jpegs):
        (good / f"{number}.jpg").write_bytes(jpeg)
    file = tmp_path / "cameras.toml"
    entries = "".join(
        f'[[camera]]\nname = "{n}"\nurl = "{cameras.url(n)}"\nonvif_port = 0\nreferences = "{good}"\n'
        for n in NAMES
    )
    file.write_text(f'[default]\nuser = "watch"\npassword = "{SECRET}"\n{entries}')
    file.chmod(0o600)
    env = {
        "UTAA_EDGE_CAMERAS__FILE": str(file), "UTAA_EDGE_CAMERAS__INTERVAL_S": "0.5",
        "UTAA_EDGE_CAMERAS__PATIENCE": str(PATIENCE),
    }  # fmt: skip
    async with house(tmp_path, smtp, edge_env=env) as running:
        yield running


async def _health(home: House) -> dict[str, dict[str, Any]]:
    return {row["camera_id"]: row async for row in home.api.items("/camera-health")}


async def _of(home: House, subject: str) -> list[dict[str, Any]]:
    return [i for i in await home.incidents() if i["subject_id"] == subject]


async def test_cameras_are_known_told_when_they_fail_and_cleared_when_they_are_mended(
    home: House, cameras: Server
) -> None:
    async def all_well() -> bool:
        return [row["summary"] for row in (await _health(home)).values()] == ["ok"] * len(NAMES)

    await until(all_well, "six cameras in the city, all of them well", 90)

    cameras.cameras["cam0"].fault = "wrong_password"
    cameras.cameras["cam1"].fault = "covered"
    lost, covered = camera_id("cam0"), camera_id("cam1")

    async def told() -> bool:
        rows = [await _of(home, lost), await _of(home, covered)]
        return all(row and row[0]["state"] == "opened" for row in rows)

    await until(told, "an incident of each of the two", 90)
    health = await _health(home)
    assert health[lost]["facts"]["reachable"] is False
    assert health[covered]["facts"]["in_place"] is False
    assert "covered" in health[covered]["reason"]
    assert (await _of(home, lost))[0]["subject_kind"] == "camera"
    assert {i["subject_id"] for i in await home.incidents()} == {lost, covered}
    await _the_evidence_is_small_pictures_for_those_who_may(home, covered)

    cameras.cameras["cam0"].fault = cameras.cameras["cam1"].fault = None

    async def over() -> bool:
        states = [i["state"] for i in await home.incidents()]
        return states == ["all_clear"] * 2 and await all_well()

    await until(over, "both cleared by themselves", 90)

    await _a_lost_network_is_one_incident(home, cameras)
    assert SECRET not in "".join(p.read_text(errors="replace") for p in home.folder.rglob("*.log"))


async def _the_evidence_is_small_pictures_for_those_who_may(home: House, camera: str) -> None:
    evidence = await home.api.get(f"/camera-health/{camera}/evidence")
    seen = next(row for row in evidence if row["has_picture"])
    assert seen["has_reference"] and seen["numbers"]
    for which in ("picture", "reference"):
        jpeg = await home.api._http.get(f"/camera-health/{camera}/evidence/{seen['id']}/{which}")
        assert jpeg.status_code == 200 and jpeg.content[:3] == b"\xff\xd8\xff"
        assert len(jpeg.content) <= 12_000


async def _a_lost_network_is_one_incident(home: House, cameras: Server) -> None:
    before = len(await home.incidents())
    await cameras.stop()

    async def one_more() -> bool:
        return len(await home.incidents()) > before

    await until(one_more, "the loss of all of them", 90)
    open_ones = [i for i in await home.incidents() if i["state"] == "opened"]
    assert [(i["subject_kind"], i["hazard"]) for i in open_ones] == [("site", "trouble")]
    story = json.dumps(await home.api.get(f"/incidents/{open_ones[0]['id']}"))
    assert "6 of 6 cameras were lost at once" in story

    await cameras.restart()

    async def back() -> bool:
        return all(i["state"] == "all_clear" for i in await home.incidents())

    await until(back, "the network's loss over", 90)
    assert len(await home.incidents()) == before + 1


TABLE = (
    "Дугаар;Төлөв;Дүрсний хаяг;Хянах цэг;Дүрсний өргөн, px;Дүрсний өндөр, px;Кодек;Шалгах давтамж, с"
)


async def test_a_camera_that_is_registered_to_a_site_is_watched_from_then_on(
    tmp_path: Path, smtp: SmtpServer, cameras: Server
) -> None:
    """Nothing at the site names a camera or a password: all of it comes from the register."""
    env = {"UTAA_EDGE_CAMERAS__PATIENCE": str(PATIENCE), "UTAA_EDGE_CAMERAS__INTERVAL_S": "0.5"}
    async with house(tmp_path, smtp, edge_env=env) as home:
        row = f"K-1;active;{cameras.url('cam3')};{SITE};{SHAPE.width};{SHAPE.height};H.264;5"
        http = home.api._http
        where = {"kind": "cameras", "name": "k.csv"}
        sent = await http.post("/imports", params=where, content=f"{TABLE}\n{row}\n".encode())
        taken = await http.post(f"/imports/{sent.json()['id']}/apply", json={})
        assert taken.status_code == 200, taken.text
        (known,) = (await home.api.get("/cameras"))["items"]

        async def outcome(wanted: str) -> bool:
            return (await _health(home)).get(known["id"], {}).get("reason", "").startswith(wanted)

        await until(lambda: outcome("wrong_password"), "told that it has no password", 90)
        secret = {"stream_secret": f"watch:{SECRET}"}
        await home.api.patch(f"/cameras/{known['id']}", secret, f'"{known["version"]}"')

        async def well() -> bool:
            return (await _health(home)).get(known["id"], {}).get("summary") == "ok"

        await until(well, "watched, with the password of the register", 90)
        states = [i["state"] for i in await home.incidents() if i["subject_id"] == known["id"]]
        assert states == ["all_clear"]

        cameras.cameras["cam3"].fault = "hang"

        async def told() -> bool:
            return [i["state"] for i in await _of(home, known["id"])][:1] == ["opened"]

        await until(told, "its loss is an incident of the camera", 90)
        await _the_password_is_nowhere(home)


async def _the_password_is_nowhere(home: House) -> None:
    """Neither in logs, nor in a process list, nor where others may read."""
    listed = b"".join(_words_of(p) for p in Path("/proc").glob("[0-9]*/cmdline"))
    assert b"edge.cameras.worker" in listed and SECRET.encode() not in listed
    assert SECRET not in "".join(p.read_text(errors="replace") for p in home.folder.rglob("*.log"))
    kept = [p for p in home.folder.rglob("config.json") if SECRET in p.read_text()]
    assert kept and all(p.stat().st_mode & 0o077 == 0 for p in kept)
    assert SECRET not in json.dumps(await home.api.get(f"/sites/{SITE}/config"))


def _words_of(cmdline: Path) -> bytes:
    try:
        return cmdline.read_bytes()
    except OSError:  # it has just ended
        return b""
