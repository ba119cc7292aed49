"""The agent's side of the camera watch: reports into the book, and a site without the libraries."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edge.agent.cameras import CameraWatch, enter
from edge.alarms import Change
from edge.cameras.errors import CameraError
from edge.cameras.roster import load, roster
from edge.settings import EdgeSettings
from edge.wire.cameras import CameraAlarm, CameraReport, Watch
from edge.wire.identity import cameras_id, detector_id
from edge.wire.messages import CameraFact, CameraSettings

SITE = "s"


class Book:
    """A core that only remembers what it was told."""

    def __init__(self) -> None:
        self.book = SimpleNamespace(active={})
        self.told: list[tuple[str, Change]] = []
        self.facts: list[CameraFact] = []

    def now_us(self) -> int:
        return 1

    def enter(self, detector: str, change: Change) -> None:
        self.told.append((detector, change))
        key = (detector, change.kind)
        if change.transition == "clear":
            self.book.active.pop(key)
        else:
            self.book.active[key] = SimpleNamespace(alarm=SimpleNamespace(members=change.members))

    def tell_of_camera(self, fact: CameraFact, transition: str) -> None:
        self.facts.append(fact)


def _alarm(detector: str, transition: str, **more: Any) -> CameraAlarm:
    values: dict[str, Any] = {"kind": "camera_offline", "reason": "refused", **more}
    return CameraAlarm(detector=detector, transition=transition, **values)  # type: ignore[arg-type]


def _told(core: Book) -> list[tuple[str, str]]:
    return [(detector, change.transition) for detector, change in core.told]


def test_what_stands_is_entered_once_however_often_it_is_said() -> None:
    core: Any = Book()
    for transition in ("clear", "raise", "raise", "clear", "clear"):
        enter(core, CameraReport(alarms=[_alarm("c1", transition)]), SITE)
    assert _told(core) == [("c1", "raise"), ("c1", "clear")]


def test_a_camera_that_is_watched_no_longer_has_no_alarm_and_the_networks_stays() -> None:
    core: Any = Book()
    network = cameras_id(SITE)
    enter(core, CameraReport(alarms=[_alarm("c1", "raise"), _alarm("c2", "raise")]), SITE)
    enter(core, CameraReport(alarms=[_alarm(network, "raise", members=["c2"])]), SITE)
    enter(core, CameraReport(roster=["c2"]), SITE)
    assert _told(core)[-1] == ("c1", "clear")
    assert {detector for detector, _ in core.book.active} == {"c2", network}


async def test_without_the_libraries_the_watch_says_so_once_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('gone')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    posted: list[Callable[..., None]] = []
    settings = EdgeSettings(site=SITE, cameras={})  # type: ignore[arg-type]
    assert settings.cameras is not None
    values = settings.cameras.model_dump(mode="json")
    watch = CameraWatch(
        SITE, lambda: Watch(site=SITE, data_dir=str(tmp_path), settings=values), posted.append
    )
    async with asyncio.timeout(60):
        await watch.run()
    assert watch.problem == "cameras: cv2 is not installed; pip install 'utaa[cameras]'"
    assert posted == []


def test_the_watch_ends_when_its_agent_does(tmp_path: Path) -> None:
    line = msgspec.json.encode(Watch(site=SITE, data_dir=str(tmp_path), settings={})) + b"\n"
    done = subprocess.run(
        [sys.executable, "-m", "edge.cameras.post"], input=line, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout.splitlines()[0], type=CameraReport).roster == []


def test_the_file_has_the_passwords_and_the_city_what_is_registered(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(
        '[default]\nuser = "watch"\npassword = "p w"\n'
        '[[camera]]\nname = "yard"\nurl = "rtsp://10.0.0.5/a"\n'
        '[[camera]]\nid = "reg-1"\nuser = "own"\npassword = "x"\n'
    )
    file.chmod(0o600)
    told = [CameraSettings(camera="reg-1", address="rtsp://10.0.0.6/b", width=640, maintenance=True)]
    by_id = {one.id: one for one in roster(SITE, *load(file), told)}

    assert by_id[detector_id(SITE, "camera", "yard")].url == "rtsp://watch:p%20w@10.0.0.5/a"
    assert by_id["reg-1"].url == "rtsp://own:x@10.0.0.6/b"
    assert (by_id["reg-1"].entry.width, by_id["reg-1"].entry.maintenance) == (640, True)
    assert "p w" not in repr(by_id) + repr(load(file)) and "p%20w" not in repr(by_id)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [("", 0o644, "chmod 600"), ("[[camera]]\n", 0o600, "camera 1: expected name or id"),
     ('[[camera]]\nname="a"\nurl="ftp://x"\n', 0o600, "camera 1: url: expected rtsp"),
     ('[[camera]]\nname="a"\npasword="hush"\n', 0o600, "unknown field"),
     ("hush = [", 0o600, "no TOML")],
)  # fmt: skip
def test_a_bad_file_is_one_line_that_repeats_no_secret(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(CameraError, match=says) as error:
        load(file)
    assert "hush" not in str(error.value) and "\n" not in str(error.value)


async def test_the_watch_begins_with_the_first_camera_that_the_city_names() -> None:
    named: list[CameraSettings] = []

    def watched() -> Watch:
        return Watch(site=SITE, data_dir="", settings={}, cameras=list(named))

    watch = CameraWatch(SITE, watched, lambda call: None, always=False)
    served = asyncio.Event()

    async def serve() -> bool:
        served.set()
        return True

    watch._serve = serve  # type: ignore[method-assign]
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    assert not served.is_set()
    named.append(CameraSettings(camera="c1", address="rtsp://10.0.0.5/1"))
    watch.changed()
    await asyncio.wait_for(served.wait(), 5)
    running.cancel()


def test_a_password_of_the_city_is_used_unless_the_site_keeps_one_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[default]\nuser = "d"\npassword = "d"\n[[camera]]\nid = "c2"\nuser = "own"\npassword = "o/w"\n'
    )
    file.chmod(0o600)
    default, entries = load(file)
    told = [
        CameraSettings(camera=name, address="rtsp://10.0.0.5/1", secret=secret, interval_s=30)
        for name, secret in (("c1", "city:p:w"), ("c2", "city:x"), ("c3", None))
    ]
    urls = {one.id: one.url for one in roster(SITE, default, entries, told)}
    assert urls == {
        "c1": "rtsp://city:p%3Aw@10.0.0.5/1", "c2": "rtsp://own:o%2Fw@10.0.0.5/1",
        "c3": "rtsp://d:d@10.0.0.5/1",
    }  # fmt: skip
