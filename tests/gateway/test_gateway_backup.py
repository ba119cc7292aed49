"""A backup of a city that is being written to; the city brought back in the other kind of database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from typer.testing import CliRunner

from alerts.models import Incident
from gateway import schema
from gateway.backup.archive import ArchiveError, identity_of, recipient_of, writing
from gateway.backup.commands import app
from gateway.backup.journey import RestoreError, bring_back, inspect, take
from gateway.backup.tables import LEFT_OUT
from gateway.city import open_city
from gateway.settings import GatewaySettings, load_settings
from registry import audit
from registry.db import Base, Database
from registry.households import ADDRESS
from registry.models import Household, Organisation, Site
from registry.rights import SYSTEM
from tests.gateway.conftest import Site as EdgeSite
from tests.gateway.test_gateway_ingest import alarm_of, event_of
from tests.gateway.test_gateway_worker import ALL, edge_at, url_of, working
from tests.servers import until

PAIR = x25519.Identity.generate()
SECRET_PLACE = "Модны хашаа 7"


def _say(_line: str) -> None:
    pass


async def _homes(session: AsyncSession, city: Any) -> None:
    """Organisations that point at each other, a home whose address is sealed, an entry of the audit."""
    session.add(Organisation(id="a-below", name="Салбар"))
    session.add(Organisation(id="b-above", name="Төв"))
    session.add(
        Site(id="site-9", title="Цэг", created_us=1, alarm_settings={"$json": "а", "n": [1, None]})
    )
    await session.flush()
    below = await session.get(Organisation, "a-below")
    assert below is not None
    below.parent_id = "b-above"
    sealed = city.keyring.seal(SECRET_PLACE, ADDRESS)
    session.add(Household(id="h-1", label="ger-1", site_id="site-9", address=sealed, created_us=1))
    await audit.append(
        session, actor=SYSTEM, action="household.create", object_kind="household", object_id="h-1",
        now_us=1, after={"label": "ger-1"},
    )  # fmt: skip


async def _counts(url: str) -> dict[str, int]:
    database = Database(url)
    try:
        async with database.read() as session:
            return {
                table.name: await session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
                if table.name not in LEFT_OUT | {"search_word"}  # made anew where words are missing
            }
    finally:
        await database.close()


@pytest.mark.parametrize("first", ["sqlite", "postgresql"])
async def test_a_city_under_load_is_kept_and_comes_back_in_the_other_kind_of_database(
    first: str, tmp_path: Path, own_mosquitto: Callable[..., Any], postgres_url: str
) -> None:
    broker = await own_mosquitto()
    here = {"database_url": postgres_url} if first == "postgresql" else {}
    there = {} if first == "postgresql" else {"database_url": postgres_url}
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker), **here)
    backup = tmp_path / "city.backup"
    async with working(settings) as (city, _worker):
        async with city.database.write() as session:
            await _homes(session, city)
        site = EdgeSite("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            frame = site.frame(site.readings("d1", 200, co_ppm=3.25))
            await edge.client.publish(frame.topic, frame.payload, qos=1)
            done = asyncio.Event()

            async def alarms() -> int:
                number = 0
                while not done.is_set() or number < 3:
                    number += 1
                    event = event_of(site, number, alarm=alarm_of(f"d{number}"))
                    await edge.client.publish(event.topic, event.payload, qos=1)
                    await until(lambda n=number: n in edge.stored("events"), "acknowledged")  # type: ignore[misc]
                return number

            load = asyncio.create_task(alarms())
            await until(lambda: edge.stored("frames") and edge.stored("events"), "under load")
            kept = await take(
                settings, backup, PAIR.to_public(), with_readings=True, with_keys=True, say=_say
            )
            done.set()
            sent = await load
        old_store = city.store_id
        told = kept.rows["incident"]
        assert 1 <= told <= sent

    where = load_settings(data_dir=tmp_path / "there", broker_url=url_of(broker), **there)
    manifest, store = await bring_back(where, backup, PAIR, say=_say)
    assert manifest == kept
    assert store != old_store
    counts = await _counts(where.effective_database_url)
    expected = kept.rows | {"audit_entry": kept.rows["audit_entry"] + 1}  # the new store id
    del expected["search_word"]
    assert counts == expected
    async with working(where) as (city, _worker):
        assert city.store_id == store
        rows = await city.readings.rows("d1", **ALL, limit=1000)
        assert rows.columns["co_ppm"].tolist() == [3.25] * 200
        async with city.database.read() as session:
            home = await session.get(Household, "h-1")
            assert home is not None
            assert city.keyring.open(home.address, ADDRESS) == SECRET_PLACE  # type: ignore[arg-type]
            below = await session.get(Organisation, "a-below")
            assert below is not None
            assert below.parent_id == "b-above"
            row = await session.get(Site, "site-9")
            assert row is not None
            assert row.alarm_settings == {"$json": "а", "n": [1, None]}
        async with edge_at(broker.port, site) as edge:  # the site sends its week again, and goes on
            for number in range(1, sent + 2):
                event = event_of(site, number, alarm=alarm_of(f"d{number}"))
                await edge.client.publish(event.topic, event.payload, qos=1)
            await until(lambda: sent + 1 in edge.stored("events"), "the new alarm acknowledged")
        async with city.database.read() as session:
            alarms_there = await session.scalar(
                select(func.count()).select_from(Incident).where(Incident.site_id == "site-1")
            )
        assert alarms_there is not None
        assert alarms_there >= 1


@pytest.fixture
async def kept(settings: GatewaySettings, tmp_path: Path) -> Path:
    async with open_city(settings) as city, city.database.write() as session:
        await _homes(session, city)
    path = tmp_path / "city.backup"
    await take(settings, path, PAIR.to_public(), with_readings=True, with_keys=False, say=_say)
    return path


async def test_nothing_readable_is_in_the_file_and_another_key_does_not_open_it(kept: Path) -> None:
    content = kept.read_bytes()
    assert b"ger-1" not in content
    assert kept.stat().st_mode & 0o077 == 0
    with pytest.raises(ArchiveError, match="another key"):
        await inspect(kept, x25519.Identity.generate())


async def test_a_cut_or_changed_backup_is_refused_before_anything_is_touched(
    kept: Path, tmp_path: Path
) -> None:
    content = kept.read_bytes()
    where = load_settings(data_dir=tmp_path / "there")
    for name, broken in (
        ("cut", content[: len(content) // 2]),
        ("changed", content[:-40] + bytes(1) + content[-39:]),
        ("empty", b""),
    ):
        path = tmp_path / name
        path.write_bytes(broken)
        with pytest.raises(ArchiveError, match=name):
            await bring_back(where, path, PAIR, say=_say)
    assert not (tmp_path / "there/city.sqlite").exists()


async def test_a_restore_never_overwrites_a_city(kept: Path, settings: GatewaySettings) -> None:
    before = await _counts(settings.effective_database_url)
    with pytest.raises(RestoreError, match="holds a city already"):
        await bring_back(settings, kept, PAIR, say=_say)
    assert await _counts(settings.effective_database_url) == before


async def test_a_backup_of_the_first_release_comes_back_in_todays_tables(tmp_path: Path) -> None:
    old = load_settings(data_dir=tmp_path / "old")
    old.data_dir.mkdir()
    database = Database(old.effective_database_url)
    await schema.upgrade_to(database, "0001")
    async with database.write() as session:
        await session.execute(_old_site(database), {"id": "s-old", "title": "Хуучин", "created_us": 1})
    await database.close()
    path = tmp_path / "old.backup"
    made = await take(old, path, PAIR.to_public(), with_readings=False, with_keys=False, say=_say)
    assert made.revision == "0001"
    new = load_settings(data_dir=tmp_path / "new")
    await bring_back(new, path, PAIR, say=_say)
    async with open_city(new) as city, city.database.read() as session:
        site = await session.get(Site, "s-old")
        assert site is not None
        assert site.title == "Хуучин"
    assert await schema.current(new.effective_database_url) == schema.newest()


def _old_site(_database: Database) -> Any:
    from sqlalchemy import text

    return text(
        "INSERT INTO site (id, title, config_version, alarm_settings, output_settings, created_us) "
        "VALUES (:id, :title, 1, '{}', '{}', :created_us)"
    )


async def test_a_disk_that_fails_leaves_no_half_backup(tmp_path: Path) -> None:
    path = tmp_path / "city.backup"
    with pytest.raises(RuntimeError), writing(path, PAIR.to_public()) as out:
        out.add("tables/x/000001", b"{}\n")
        raise RuntimeError("power")
    assert list(tmp_path.iterdir()) == []


def test_the_commands_from_a_key_to_a_verified_backup(tmp_path: Path) -> None:
    run = CliRunner()
    key = tmp_path / "key.txt"
    public = run.invoke(app, ["key", str(key)]).stdout.splitlines()[0]
    assert str(recipient_of(public)) == str(identity_of(key).to_public())
    assert run.invoke(app, ["key", str(key)]).exit_code == 1
    data = ["--data-dir", str(tmp_path / "city")]
    path = tmp_path / "b"
    nothing = run.invoke(app, ["take", str(path), "--to", public, *data])
    assert nothing.exit_code == 1
    assert "no city to keep" in nothing.output
    asyncio.run(_open_once(tmp_path / "city"))
    assert run.invoke(app, ["take", str(path), "--to", public, *data]).exit_code == 0
    again = run.invoke(app, ["take", str(path), "--to", public, *data])
    assert "exists; choose another name" in again.output
    shown = run.invoke(app, ["show", str(path), "--identity", str(key), "--json"])
    assert json.loads(shown.stdout)["revision"] == schema.newest()
    proved = run.invoke(app, ["verify", str(path), "--identity", str(key)])
    assert "brings the whole city back" in proved.output
    wrong = run.invoke(app, ["take", str(tmp_path / "c"), "--to", "nonsense", *data])
    assert "age1" in wrong.output


async def _open_once(folder: Path) -> None:
    async with open_city(load_settings(data_dir=folder)):
        pass
