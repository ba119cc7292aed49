"""ONVIF against a device that holds its peer to the protocol; discovery; findings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cameras.cli import app
from edge.cameras.onvif import Device, ask, ask_one, discover, findings, read_matches
from edge.cameras.watchman import Camera
from firmware_sim.camera.onvif import OnvifDevice


async def test_a_camera_says_what_it_is_and_how_its_clock_stands() -> None:
    async with OnvifDevice(serial="AB-77", drift_s=3600) as device:
        said = await ask("127.0.0.1", device.port, "watch", "secret")

    assert (said.maker, said.model, said.serial, said.problem) == ("Utaa", "Simulated", "AB-77", None)
    assert said.drift_s == pytest.approx(3600, abs=5)
    assert device.asked[-1] == "GetDeviceInformation"


@pytest.mark.parametrize(
    ("password", "fault", "problem"),
    [("wrong", None, "wrong_password"), ("secret", "garbage", "not_onvif"),
     ("secret", "no_onvif", "not_onvif")],
)  # fmt: skip
async def test_refusals_and_noise_have_a_closed_word(
    password: str, fault: str | None, problem: str
) -> None:
    async with OnvifDevice(fault=fault) as device:
        said = await ask("127.0.0.1", device.port, "watch", password)
    assert said == Device(problem=problem) or (
        said.problem in ("refused", problem) and said.serial is None
    )


async def test_nobody_there_is_no_error() -> None:
    assert (await ask("127.0.0.1", 9, "watch", "secret")).problem == "not_there"


def test_a_serial_number_that_is_another_and_a_clock_far_off_are_findings() -> None:
    assert findings(Device(serial="A1", drift_s=3.0), "a1") == ()
    assert len(findings(Device(serial="B2", drift_s=-900.0), "A1")) == 2
    assert findings(Device(), "A1") == ()


async def test_an_exchanged_camera_is_found_by_its_serial_number() -> None:
    async with OnvifDevice(serial="NEW-1") as device:
        camera = Camera("yard", f"rtsp://watch:secret@127.0.0.1:{device.port}/x")
        devices: dict[str, Device] = {}
        await ask_one(camera, "OLD-9", devices, device.port)
    assert camera.findings and "serial" in camera.findings[0]
    assert devices["yard"].serial == "NEW-1"


async def test_discovery_lists_who_answers() -> None:
    async with OnvifDevice(model="Dome 3") as device:
        found = await discover(0.3, ("127.0.0.1", device.discovery_port))
    assert [(one.host, one.hardware, one.services) for one in found] == [
        ("127.0.0.1", "Dome 3", [device.url])
    ]


@pytest.mark.parametrize(
    "data", [b"", b"<a", b"x" * 70_000, b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', b"\xff\xfe"]
)
def test_answers_that_cannot_be_read_list_nobody(data: bytes) -> None:
    assert read_matches(data, "10.0.0.1") == []


async def test_the_worklist_tells_known_moved_and_new_apart(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"

    async def states(entry: str) -> list[str]:
        file.write_text(f"[[camera]]\n{entry}\n")
        file.chmod(0o600)
        words = ["discover", "--known", str(file), "--wait", "0.4", "--json", "--user", "watch",
                 "--to", f"127.0.0.1:{device.discovery_port}"]  # fmt: skip
        done = await asyncio.to_thread(
            CliRunner().invoke, app, words, env={"UTAA_ONVIF_PASSWORD": "secret"}
        )
        assert done.exit_code == 0, done.output
        return [json.loads(line)["state"] for line in done.output.splitlines()]

    async with OnvifDevice(serial="SN-5") as device:
        assert await states('name = "a"\nurl = "rtsp://127.0.0.1/x"') == ["known"]
        assert await states('name = "a"\nurl = "rtsp://10.0.0.9/x"\nserial = "sn-5"') == ["moved"]
        assert await states('name = "a"\nurl = "rtsp://10.0.0.9/x"') == ["new"]
