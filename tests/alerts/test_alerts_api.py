"""The office's part of reaching people: duty, codes, tests, wishes and lists, by HTTP and console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.cli import app as console
from alerts.doors import Doors
from alerts.models import Delivery
from registry.models import AuditEntry, Contact, ContactChannel
from registry.on_duty import read_on_duty
from registry.register_file import RegisterRefused
from registry.sealed import ensure_keyring
from tests.alerts.city import ScriptedChannel, Town
from tests.alerts.doors import ORIGIN, House, house_of
from tests.made import make_tables

API = "/api/v1"


@pytest.fixture
async def mails() -> ScriptedChannel:
    return ScriptedChannel()


@pytest.fixture
async def house(town: Town, mails: ScriptedChannel) -> AsyncIterator[House]:
    async with house_of(town, Doors(channels={"email": mails}, public_url=ORIGIN)) as found:
        yield found


async def test_the_duty_of_a_khoroo_is_entered_told_and_taken_off(house: House) -> None:
    town = house.town
    async with await house.machine("registrar") as clerk:
        ways = [{"channel": "email", "address": "khoroo@example.mn"}]
        person = {"role": "duty", "unit_code": "111624", "name": "Жижүүр", "channels": ways}
        wrong = await clerk.post(f"{API}/duty", json=person | {"unit_code": "99x"})
        assert wrong.status_code == 422
        assert (await clerk.post(f"{API}/duty", json=person | {"unit_code": None})).status_code == 422
        made = (await clerk.post(f"{API}/duty", json=person | {"unit_code": "1116"})).json()
        [listed] = (await clerk.get(f"{API}/duty", params={"unit": "1116"})).json()
        assert listed == made and "khoroo@example.mn" not in str(listed) and "Жижүүр" not in str(listed)
        town.clock.advance(timedelta(seconds=1))
        mails = ScriptedChannel()
        worker = town.worker(mails)
        await town.alarm()
        await worker.run_until_idle()
        town.clock.advance(timedelta(seconds=61))
        await worker.run_until_idle()
        assert "khoroo@example.mn" in {m.address for m in mails.sent}
        assert (await clerk.delete(f"{API}/duty/{made['id']}")).status_code == 422
        why = {"reason": "moved away"}
        assert (await clerk.delete(f"{API}/duty/{made['id']}", params=why)).status_code == 204
        assert (await clerk.delete(f"{API}/duty/{made['id']}", params=why)).status_code == 404
        assert (await clerk.get(f"{API}/duty")).json() == []
    async with await house.machine("approver") as looker:
        assert (await looker.post(f"{API}/duty", json=person)).status_code == 403
    noted = [e.action for e in await town.all(AuditEntry) if e.object_kind == "contact"]
    assert noted == ["duty.create", "duty.remove"]


async def test_a_neighbour_is_entered_with_the_household(house: House) -> None:
    async with await house.machine("registrar") as clerk:
        path = f"{API}/households/{house.town.household_id}"
        etag = (await clerk.get(path)).headers["etag"]
        people = [
            {"name": "Бат", "channels": [{"channel": "email", "address": "bat@example.mn"}]},
            {"name": "Дорж", "role": "neighbour",
             "channels": [{"channel": "sms", "address": "9911 2233"}]},
        ]  # fmt: skip
        put = await clerk.put(f"{path}/contacts", json=people, headers={"If-Match": etag})
        assert [one["role"] for one in put.json()["contacts"]] == ["resident", "neighbour"]
        opened = (await clerk.post(f"{path}/open")).json()
        assert [one["role"] for one in opened["contacts"]] == ["resident", "neighbour"]


async def test_a_code_goes_out_on_the_channel_and_verifies_it(
    house: House, mails: ScriptedChannel
) -> None:
    [channel, *_] = await house.town.all(ContactChannel)
    path = f"{API}/channels/{channel.id}"
    async with await house.machine("registrar") as clerk:
        sent = (await clerk.post(f"{path}/code")).json()
        assert (sent["outcome"], sent["reason"]) == ("accepted", "accepted")
        code = "".join(c for c in mails.sent[0].short if c.isdigit())
        assert code not in str(sent)
        wrong = "000000" if code != "000000" else "111111"
        assert (await clerk.post(f"{path}/verify", json={"code": wrong})).json() == {"verified": False}
        assert (await clerk.post(f"{path}/verify", json={"code": code})).json() == {"verified": True}
        spent = await clerk.post(f"{path}/verify", json={"code": code})
        assert (spent.status_code, spent.json()["type"]) == (409, "urn:utaa:problem:no-code")
        home = (await clerk.get(f"{API}/households/{house.town.household_id}")).json()
        assert [c["verified_at"] for p in home["contacts"] for c in p["channels"]].count(None) == 1
        assert (await clerk.post(f"{API}/channels/nobody/code")).status_code == 404
        await house.town.add_contact("99112233", channel="sms")
        sms = next(c for c in await house.town.all(ContactChannel) if c.channel == "sms")
        refused = (await clerk.post(f"{API}/channels/{sms.id}/code")).json()
        assert refused["reason"] == "not_configured"
    entries = repr([(e.before, e.after) for e in await house.town.all(AuditEntry)])
    assert code not in entries


async def test_a_test_a_wish_and_the_list_of_a_khoroo(house: House) -> None:
    town = house.town
    [first, *_] = await town.all(ContactChannel)
    async with await house.machine("registrar") as clerk:
        test = await clerk.post(f"{API}/channels/{first.id}/test")
        assert test.status_code == 202 and house.woken
        mails = ScriptedChannel()
        await town.worker(mails, public_url=ORIGIN).run_until_idle()
        [message] = mails.sent
        assert message.kind == "drill" and (await house.client.post(message.link)).status_code == 303
        reach = (await clerk.get(f"{API}/reach", params={"unit": "111624"})).json()
        assert [(one["standing"], one["reason"]) for one in reach] == [("reachable", "proven")]
        assert (await clerk.get(f"{API}/reach", params={"unit": "1117"})).json() == []
        one = (await clerk.get(f"{API}/households/{town.household_id}/reach")).json()
        assert sorted(c["standing"] for c in one["channels"]) == ["doubtful", "reachable"]

        wishes = {"quiet_from_h": 21, "quiet_until_h": 9, "away_until": "2026-03-01T00:00:00Z"}
        path = f"{API}/contacts/{town.contacts[0]}/wishes"
        assert (await clerk.put(path, json=wishes)).status_code == 200
        assert (await clerk.put(path, json={"quiet_from_h": 5})).status_code == 422
        muted = await clerk.put(f"{API}/channels/{first.id}/mute", json={"muted": True})
        assert muted.json() == {"muted": True}
        no = await clerk.put(f"{API}/channels/{first.id}/consent", json={"given": False})
        assert (no.json()["standing"], no.json()["reason"]) == ("unreachable", "consent_withdrawn")
        yes = {"given": True, "text_version": "2026-01"}
        assert (await clerk.put(f"{API}/channels/{first.id}/consent", json=yes)).status_code == 200
    found = next(c for c in await town.all(Contact) if c.id == town.contacts[0])
    assert (found.quiet_from_h, found.quiet_until_h) == (21, 9)
    assert [d.state for d in await town.all(Delivery)] == ["seen"]


# ---- files and the console -----------------------------------------------------------------------

FILE = """role;unit;name;language;email;sms
duty;111624;Жижүүр Нэг;mn;one@example.mn;9911 2233
desk;;Хотын жижүүр;;desk@example.mn;
"""


def test_a_file_of_people_on_duty_is_read_or_refused_by_line(tmp_path: Path) -> None:
    good = tmp_path / "duty.csv"
    good.write_text(FILE, encoding="utf-8")
    rows = read_on_duty(good)
    assert [(row.role, row.unit_code, len(row.entry.channels)) for row in rows] == [
        ("duty", "111624", 2), ("desk", None, 1),
    ]  # fmt: skip
    toml = tmp_path / "duty.toml"
    toml.write_text('[[duty]]\nrole = "desk"\nname = "Хот"\nemail = "d@example.mn"\n', encoding="utf-8")
    assert read_on_duty(toml)[0].role == "desk"
    bad = tmp_path / "bad.csv"
    bad.write_text(FILE + "boss;1;;xx;nonsense;\nduty;9;A;;a@example.mn;\n", encoding="utf-8")
    with pytest.raises(RegisterRefused) as refused:
        read_on_duty(bad)
    told = [(problem.line, problem.column) for problem in refused.value.problems]
    assert told == [(4, "role"), (4, "name"), (4, "language"), (4, "email"), (5, "unit")]


def test_the_console_imports_lists_and_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from registry.db import Database

    async def prepare() -> None:
        database = Database(f"sqlite:///{tmp_path}/city.db")
        await make_tables(database)
        await database.close()

    asyncio.run(prepare())
    config = tmp_path / "utaa.toml"
    config.write_text(
        f'[gateway]\ndata_dir = "{tmp_path}"\ndatabase_url = "sqlite:///{tmp_path}/city.db"\n'
        f'key_file = "{tmp_path}/keys"\n'
    )
    ensure_keyring(tmp_path / "keys")
    file = tmp_path / "duty.csv"
    file.write_text(FILE, encoding="utf-8")
    run = CliRunner()

    def call(*words: str) -> str:
        result = run.invoke(console, ["duty", *words, "--config", str(config)])
        assert result.exit_code == 0, result.output
        return result.output

    assert call("import", str(file)) == "2 new of 2\n"
    assert call("import", str(file)) == "0 new of 2\n"
    listed = call("list").splitlines()
    assert len(listed) == 2 and "one@example.mn" not in str(listed)
    call("remove", listed[0].split()[0], "--reason", "moved away")
    assert len(call("list").splitlines()) == 1
    call("add", "Шинэ", "--unit", "1116", "--channel", "sms=99112233")
    assert "1116" in call("list")
