"""Personal data from the console, and the gateway's own job: one process of several does it."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from alerts.models import Incident
from edge.wire.clock import US_PER_S, SystemClock
from gateway.city import City
from gateway.personal.keeper import Keeper
from gateway.registry_commands import app
from gateway.settings import GatewaySettings, load_settings
from registry import audit
from registry.households import ADDRESS
from registry.models import Contact, Detector, Household, LoginSession, Person
from registry.rights import SYSTEM
from tests.gateway.conftest import open_made_city
from tests.web.homes import HOME, burn, fill

_DAY_US = 24 * 3600 * US_PER_S
PLACE = "Ногоон нуур 3-14"


@pytest.fixture
def here(tmp_path: Path) -> SimpleNamespace:
    """A city in a folder, named to the console by a file."""
    folder = tmp_path / "city"
    config = tmp_path / "utaa.toml"
    config.write_text(f'[gateway]\ndata_dir = "{folder}"\n[gateway.retention]\nsessions_days = 3\n')
    return SimpleNamespace(folder=folder, config=config, settings=load_settings(config))


async def _home(city: City) -> None:
    await fill(city.database, city.keyring, city.clock.now_us())
    async with city.database.write() as session:
        home = await session.get_one(Household, HOME)
        home.address = city.keyring.seal(PLACE, ADDRESS)
        await session.flush()
        await audit.append(
            session, actor=SYSTEM, action="household.change", object_kind="household", object_id=HOME,
            now_us=1, before={"lat": 47.123456}, after={"lat": home.lat},
        )  # fmt: skip
        await session.execute(update(Detector).values(status="retired"))


async def _old_session(city: City) -> None:
    async with city.database.write() as session:
        session.add(Person(id="p-1", login="naraa", created_us=1))
        await session.flush()
        now_us = city.clock.now_us()
        for number, ended_us in enumerate((now_us - 4 * _DAY_US, now_us + _DAY_US)):
            session.add(
                LoginSession(
                    token_hash=str(number), person_id="p-1", csrf="x", created_us=1, used_us=1,
                    expires_us=ended_us,
                )
            )  # fmt: skip


def _in(settings: GatewaySettings, *works: Any) -> None:
    async def work() -> None:
        async with open_made_city(settings) as city:
            for each in works:
                await each(city)

    asyncio.run(work())


def _say(here: SimpleNamespace, *words: str, told: str | None = None) -> Any:
    return CliRunner().invoke(app, [*words, "--config", str(here.config)], input=told)


def test_a_home_is_exported_and_erased_from_the_console(here: SimpleNamespace, tmp_path: Path) -> None:
    _in(here.settings, _home)
    file = tmp_path / "home.zip"
    whom = ["--household", HOME, "--reason", "asked at the desk"]
    saved = _say(here, "resident", "export", *whom, "-o", str(file))
    assert saved.exit_code == 0, saved.output
    assert file.stat().st_mode & 0o077 == 0, "for its owner alone"
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("data.json"))["homes"][0]["address"] == PLACE
    twice = _say(here, "resident", "export", *whom, "-o", str(file))
    assert twice.exit_code == 1
    assert "exists" in twice.output.lower()

    nobody = _say(here, "resident", "erase", "--reason", "asked")
    assert "--household ID or --contact ID" in nobody.output
    unknown = _say(here, "resident", "erase", "--household", "h-0", "--reason", "asked")
    assert "no household 'h-0'" in unknown.output
    dry = _say(here, "resident", "erase", *whom, "--dry-run", "--json")
    assert json.loads(dry.output)["people"] == 2
    mistyped = _say(here, "resident", "erase", *whom, told="yes\n")
    assert mistyped.exit_code == 1
    assert "nothing was erased" in mistyped.output
    done = _say(here, "resident", "erase", *whom, told=f"{HOME}\n")
    assert done.exit_code == 0, done.output
    assert "backups made before still hold it" in done.output
    checked = _say(here, "verify")
    assert checked.exit_code == 0, checked.output

    async def gone(city: City) -> None:
        async with city.database.read() as session:
            home = await session.get_one(Household, HOME)
            assert (home.address, home.lat) == (None, None)
            assert home.erased_us is not None

    _in(here.settings, gone)


def test_an_open_incident_stops_an_erasure_at_the_console(here: SimpleNamespace) -> None:
    async def fire(city: City) -> None:
        await burn(city.database, city.clock.now_us())

    async def homeless(city: City) -> None:
        await fill(city.database, city.keyring, city.clock.now_us())
        await fire(city)
        async with city.database.write() as session:
            await session.execute(update(Detector).values(status="retired"))

    _in(here.settings, homeless)
    answer = _say(here, "resident", "erase", "--household", HOME, "--reason", "x", "--yes", HOME)
    assert answer.exit_code == 1
    assert "close it first" in answer.output


def test_retention_from_the_console_says_what_would_go_and_what_went(here: SimpleNamespace) -> None:
    _in(here.settings, _old_session)
    old = here.folder / "files" / "ab" / ("ab" * 32)
    old.parent.mkdir(parents=True)
    old.write_bytes(b"nobody's")
    then_s = SystemClock().now_us() / US_PER_S - 40 * 86_400
    os.utime(old, (then_s, then_s))
    dry = json.loads(_say(here, "retention", "--dry-run", "--json").output)
    assert {one["rule"]: one["gone"] for one in dry if one["gone"]} == {"sessions": 1, "files": 1}
    assert old.exists()
    done = _say(here, "retention")
    assert done.exit_code == 0, done.output
    assert "sessions\tsecret\t3 days\t1 gone, 0 left" in done.output, "the city's own period"
    assert not old.exists()
    again = json.loads(_say(here, "retention", "--json").output)
    assert not any(one["gone"] for one in again)

    async def proven(city: City) -> None:
        async with city.database.read() as session:
            assert len(list(await session.scalars(select(LoginSession)))) == 1
            assert (await audit.verify(session)).ok

    _in(here.settings, proven)


async def test_of_two_gateways_one_lets_go_and_alarms_are_taken_meanwhile(
    settings: GatewaySettings,
) -> None:
    async with open_made_city(settings) as city:
        await fill(city.database, city.keyring, city.clock.now_us())
        await _old_session(city)
        async with city.database.write() as session:
            gone = update(LoginSession).where(LoginSession.token_hash == "0")
            await session.execute(gone.values(expires_us=city.clock.now_us() - 30 * _DAY_US))
        first, second = Keeper(city), Keeper(city)
        done, _ = await asyncio.gather(first.once(), burn(city.database, city.clock.now_us()))
        assert {one.rule: one.gone for one in done if one.gone} == {"sessions": 1}
        assert await second.once() == [], "the lease is the first one's"
        async with city.database.read() as session:
            assert await session.scalar(select(Incident.hazard)) == "fire"
            assert len(list(await session.scalars(select(Contact.id)))) == 2
