"""No planted name, address, number, password or token leaves its place, whatever goes wrong.

A whole house runs: brokers, gateway, alerts, edge agent, camera watch, mail server. Everything that can
be refused is refused once, the database fails, a request meets a fault nobody foresaw, and the gateway
is killed with a dump. Then every file outside the places where the values were planted, every error
page, the metrics and the process list are searched for them, in any form.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edge.wire.topics import detector_topic
from firmware_sim.camera.film import Shape
from firmware_sim.camera.server import Camera, Server
from gateway.registry_commands import app
from tests.canaries import files_under, found_in, leaks, planted, processes
from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until

pytest.importorskip("cv2")
pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]
SHAPE = Shape(width=160, height=120, rate_fps=5, length_s=2)


@dataclass
class Planted:
    """A running house, the values in it, and what it has said so far."""

    home: House
    values: dict[str, str]
    #: where the values were put on purpose
    sources: list[Path]
    said: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def ask(self, method: str, path: str, *, keep: bool = True, **more: Any) -> httpx.Response:
        """A request to the API, or to a page after ``//``; its answer is kept for the search."""
        url = path[1:] if path.startswith("//") else f"/api/v1{path}"
        answer = await self.home.api._http.request(method, f"{self.home.box.url}{url}", **more)
        self.statuses.append(answer.status_code)
        if keep:
            self.said.append(
                (f"{method} {path.split('?')[0][:40]} {answer.status_code}", answer.content)
            )
        return answer


@pytest.fixture
async def house_of_canaries(tmp_path: Path, smtp_server: Any) -> AsyncIterator[Planted]:
    values = planted()
    smtp: SmtpServer = await smtp_server(auth=("utaa", values["mail server's password"]))
    refused = values["refused mail"]
    smtp.refuse[refused] = f"550 5.1.1 <{refused}> unknown, the owner {values['name']} moved"
    secret = tmp_path / "smtp-password"
    secret.write_text(values["mail server's password"])
    watch = {
        "right": Camera(SHAPE, user="watch", password=values["stream password"]),
        "wrong": Camera(SHAPE, user="watch", password="something else"),
    }
    async with Server(watch) as cameras:
        file = tmp_path / "cameras.toml"
        file.write_text(
            "".join(
                f'[[camera]]\nname = "{name}"\nurl = "{cameras.url(name)}"\nonvif_port = 0\n'
                f'user = "watch"\npassword = "{values[key]}"\n'
                for name, key in (("right", "stream password"), ("wrong", "wrong stream password"))
            )
        )
        file.chmod(0o600)
        edge = {
            "UTAA_EDGE_CAMERAS__FILE": str(file), "UTAA_EDGE_CAMERAS__INTERVAL_S": "1",
            "UTAA_EDGE_CAMERAS__PATIENCE": "0.2", "PYTHONFAULTHANDLER": "1",
        }  # fmt: skip
        gateway = {
            "UTAA_ALERTS_SMTP__USER": "utaa", "UTAA_ALERTS_SMTP__PASSWORD_FILE": str(secret),
            "PYTHONFAULTHANDLER": "1",
        }  # fmt: skip
        async with house(tmp_path, smtp, edge_env=edge, gateway_env=gateway) as running:
            token = running.api._http.headers["Authorization"].partition(" ")[2]
            yield Planted(running, values | {"API token": token}, [file, secret])


async def _family(city: Planted) -> str:
    """A home with everything personal; the id of its first contact."""
    values = city.values
    channels = [
        {"channel": "email", "address": values["mail"]},
        {"channel": "email", "address": values["refused mail"]},
        {"channel": "sms", "address": values["number"]},
    ]
    contacts = [{"name": values["name"], "channels": channels}]
    body = {"label": "CANARY-1", "site_id": SITE, "address": values["address"], "contacts": contacts}
    made = (await city.ask("POST", "/households", json=body)).json()
    detector = {"source": "native", "address": "smoke-9", "household_id": made["id"]}
    await city.ask("POST", "/detectors", json={"site_id": SITE, "detectors": [detector]})
    said = {"kind": "complaint", "subject": "other", "channel": "desk", "text": values["complaint"],
            "name": values["name"], "contact": values["mail"]}  # fmt: skip
    code = (await city.ask("POST", "/requests", json=said, keep=False)).json().get("code")
    link = (await city.ask("POST", f"/households/{made['id']}/home-link", keep=False)).json()["link"]
    city.values["code of a request"] = str(code)
    city.values["link to a home"] = link.rpartition("/")[2]
    async with httpx.AsyncClient(trust_env=False) as browser:
        shown = await browser.get(link)
        opened = await browser.post(link)
        assert opened.status_code == 303, shown.text
        city.values["a family's cookie"] = next(iter(browser.cookies.jar)).value or ""
        again = await browser.post(link)
        city.said.append((f"a spent link {again.status_code}", again.content.replace(
            city.values["link to a home"].encode(), b"")))  # its own form names it  # fmt: skip
    return str(made["contacts"][0]["id"])


async def _people(city: Planted) -> None:
    """Somebody with a password signs in, rightly and wrongly."""
    values = city.values
    body = {"login": "canary", "password": values["password"], "roles": ["duty"]}
    await city.ask("POST", "/people", json=body)
    async with httpx.AsyncClient(trust_env=False, base_url=city.home.box.url) as browser:
        for word in ("wrong password", "password"):
            sent = {"login": "canary", "password": values[word]}
            answer = await browser.post("/api/v1/session", json=sent)
            city.statuses.append(answer.status_code)
            if word == "wrong password":
                city.said.append((f"sign-in {answer.status_code}", answer.content))
        city.values["session cookie"] = next(iter(browser.cookies.jar)).value or ""


async def _mistakes(city: Planted) -> None:
    """Requests of every kind that are refused; none of their answers repeats what was sent."""
    values = city.values
    bad_contact = {
        "name": values["name"],
        "channels": [{"channel": "email", "address": f"{values['name']}@"}],
    }
    bad = {"label": 7, "site_id": SITE, "address": values["address"], "contacts": [bad_contact]}
    await city.ask("POST", "/households", json=bad)
    await city.ask("POST", "/households", json={"address": values["address"], "label": "GER-1",
                                                "site_id": SITE})  # fmt: skip
    await city.ask("GET", f"/requests/{values['mail']}", keep=False)  # the address is the caller's own
    await city.ask("POST", "/requests", content=f'{{"text": "{values["complaint"]}",')
    await city.ask(
        "GET", "//no/such/page", headers={"Cookie": f"utaa_session={values['session cookie']}x"}
    )
    await city.ask("GET", "/sites", headers={"Authorization": f"Bearer {values['password']}"})
    await city.ask("POST", "/imports?kind=households&name=x.csv",
                   content=f'"{values["name"]};{values["address"]}'.encode() * 3)  # fmt: skip
    await city.ask("POST", "//a/" + values["link to a home"], keep=False)


async def _alarm(city: Planted) -> None:
    """A fire at the home: one mail is taken, one refused with its address in the reply."""
    smoke = {"smoke_alarm": True, "optical_density_db_m": 1.5}
    await city.home.publish(detector_topic("smoke-9", "reading"), json.dumps(smoke))

    async def told() -> bool:
        return bool(city.home.smtp.mails)

    await until(told, "a mail", 60)


def _broken(city: Planted) -> None:
    """The table of requests is away; an entry of the audit is no JSON."""
    file = city.home.box.gateway_data / "city.sqlite"
    with closing(sqlite3.connect(file, timeout=30)) as database, database:
        database.execute("ALTER TABLE city_request RENAME TO elsewhere")
        database.execute("UPDATE audit_entry SET after = '{no json' WHERE id = 1")


async def _faults(city: Planted) -> None:
    """What fails inside, with personal values in hand."""
    values = city.values
    _broken(city)
    said = {"kind": "complaint", "subject": "other", "channel": "desk", "text": values["complaint"],
            "name": values["name"], "contact": values["mail"]}  # fmt: skip
    assert (await city.ask("POST", "/requests", json=said)).status_code == 503
    assert (await city.ask("GET", "/audit?limit=200")).status_code == 500


def _console(city: Planted) -> None:
    """Commands that fail say so in one line, without what the file holds."""
    folder = city.home.folder
    bad = folder / "bad.toml"
    values = city.values
    bad.write_text(
        f'[[household]]\nlabel = "X"\nsite = "{SITE}"\naddress = 7\n'
        f'[[household.contact]]\nname = "{values["name"]}"\nemail = "{values["mail"]}@@"\n'
    )
    city.sources.append(bad)
    config = folder / "console.toml"
    config.write_text(f'[gateway]\ndata_dir = "{city.home.box.gateway_data}"\n')
    run = CliRunner().invoke(app, ["import", str(bad), "--config", str(config)])
    assert run.exit_code == 1, run.output
    city.said.append(("utaa registry import", run.output.encode()))


async def test_a_whole_house_keeps_what_it_was_told_to_itself(house_of_canaries: Planted) -> None:
    city = house_of_canaries
    box = city.home.box
    await _family(city)
    await _people(city)
    await _mistakes(city)
    await _alarm(city)

    async def refused() -> bool:
        text = (await city.ask("GET", "//metrics")).text
        return 'outcome="refused"' in text and 'channel="email"' in text

    await until(refused, "the refused mail in the metrics", 60)

    async def watched() -> bool:
        rows = [row async for row in city.home.api.items("/camera-health")]
        return sorted(row["summary"] == "ok" for row in rows) == [False, True]

    await until(watched, "one camera well, one with a wrong password", 60)
    await city.ask("GET", "/camera-health")
    listed = list(processes(os.getpid()))
    assert len([name for name, _ in listed if name.endswith("cmdline")]) >= 4, "gateway, edge, camera …"
    for child in box.rooms.values():
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits, "no core is ever written"
    await _faults(city)
    await asyncio.to_thread(_console, city)
    gateway = box.rooms.pop("gateway")
    os.kill(gateway.pid or 0, signal.SIGABRT)
    await until(lambda: not gateway.alive, "the gateway dead")
    log = gateway.log.read_text()
    assert "Fatal Python error: Aborted" in log, "the dump was written"
    assert "Traceback" in log, "and the fault nobody foresaw"
    assert {401, 422, 500, 503} <= set(city.statuses), sorted(set(city.statuses))

    assert found_in(city.values["name"].encode().hex(), city.values) == ["name"], "the search finds"
    spared = [*city.sources, box.gateway_data / "keys"]
    written = files_under(city.home.folder, but=spared)
    assert leaks((*written, *listed, *city.said), city.values) == []
