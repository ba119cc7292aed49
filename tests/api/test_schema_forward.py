"""From the first released tables to today's, with data in them, on both databases."""

from __future__ import annotations

import json

import pytest
from alembic import command
from sqlalchemy import Connection, select, text

from gateway import schema
from registry import audit
from registry.db import Database
from registry.models import AdministrativeUnit, AuditEntry, Detector, Household, Organisation, Site
from registry.rights import SYSTEM
from registry.stays import stays_of

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
ROWS = (
    "INSERT INTO organisation (id, name) VALUES ('o1', 'Example Office')",
    "INSERT INTO person (id, login, language, active, created_us, organisation_id)"
    " VALUES ('p1', 'some.body', 'mn', true, 1, 'o1')",
    "INSERT INTO site (id, title, unit_code, config_version, alarm_settings, output_settings,"
    " created_us) VALUES ('s1', 'A', '1116', 3, '{}', '{}', 1)",
    "INSERT INTO household (id, label, site_id, language, created_us)"
    " VALUES ('h1', 'H-1', 's1', 'mn', 1)",
    "INSERT INTO detector_model (id, maker, name, senses, deadline_s, alarm_settings, source_note)"
    " VALUES ('m1', 'Example', 'M', '[]', 60, '{}', '')",
    "INSERT INTO detector (id, site_id, source, address, status, model_id, household_id, place,"
    " alarm_settings, registered_us) VALUES ('d1', 's1', 'native', 'd1', 'in_service', 'm1', 'h1',"
    " 'stove', '{}', 7)",
)


def _first_release(connection: Connection) -> None:
    command.upgrade(schema.config_of(connection), "0001")
    for row in ROWS:
        connection.execute(text(row))
    content = [audit.GENESIS, 5, "p1", "console", "site.create", "site", "s1", None, {"title": "A"}]
    entry = AuditEntry(
        at_us=5, actor="p1", origin="console", action="site.create", object_kind="site",
        object_id="s1", before=None, after={"title": "A"}, previous_hash=audit.GENESIS,
    )  # fmt: skip
    connection.execute(
        text(
            "INSERT INTO audit_entry (at_us, actor, origin, action, object_kind, object_id, after,"
            " previous_hash, hash) VALUES (5, 'p1', 'console', 'site.create', 'site', 's1', :after,"
            " :previous, :hash)"
        ),
        {"after": json.dumps(content[-1]), "previous": audit.GENESIS, "hash": audit.digest(entry)},
    )


@BOTH
async def test_data_of_the_first_release_is_all_there_after_the_upgrade(city_url) -> None:
    database = Database(city_url)
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(utaa_write=True)
        async with connection.begin():
            await connection.run_sync(_first_release)
    assert await schema.current(database) == "0001"
    await schema.upgrade(database)
    assert await schema.current(database) == schema.newest()
    async with database.write() as session:
        office = await session.get(Organisation, "o1")
        assert (office.name, office.kind, office.version) == ("Example Office", "other", 1)
        site = await session.get(Site, "s1")
        assert (site.config_version, site.version, site.gone_us) == (3, 1, None)
        assert (await session.get(Household, "h1")).label == "H-1"
        assert (await session.get(Detector, "d1")).place == "stove"
        (stay,) = await stays_of(session, "d1")
        assert (stay.household_id, stay.from_us, stay.until_us) == ("h1", 7, None)
        assert len(list(await session.scalars(select(AdministrativeUnit)))) == 214
        await audit.append(
            session, actor=SYSTEM, action="site.change", object_kind="site", object_id="s1", now_us=9,
            reason="after the upgrade", batch_id="b1",
        )  # fmt: skip
        verdict = await audit.verify(session)
        assert (verdict.ok, verdict.entries) == (True, 2)
        office.note = "edited"
        await session.flush()
        assert office.version == 2
    await database.close()


async def test_going_back_is_refused_with_what_to_do_instead(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path}/city.db")
    await schema.upgrade(database)

    def back(connection: Connection, wanted: str) -> None:
        command.downgrade(schema.config_of(connection), wanted)

    async with database.engine.connect() as plain:
        connection = await plain.execution_options(utaa_write=True)
        numbers = [f"{number:04}" for number in range(1, int(schema.newest()))]
        for wanted in ("-1", "base", *numbers):
            with pytest.raises(RuntimeError, match="restore the backup made before the upgrade"):
                await connection.run_sync(back, wanted)
    assert await schema.current(database) == schema.newest()
    await database.close()
