"""One's own account and others', through the API."""

from __future__ import annotations

import pyotp
import pytest

from edge.wire.clock import US_PER_S
from registry.identity import Identity
from tests.api.conftest import PASSWORD

NEW = "a staple of another horse"


def code_of(secret: str, city, later: int = 0) -> str:
    return pyotp.TOTP(secret).generate_otp(city.clock.now_us() // (30 * US_PER_S) + later)


async def test_enrolling_gives_the_browser_a_new_session_and_asks_for_a_code_next_time(
    door, city
) -> None:
    async with await door.signed_in("bat.office", ["duty"]) as client:
        before = dict(client.cookies)
        begun = (await client.post("/me/second-factor")).json()
        wrong = await client.post("/me/second-factor/confirm", json={"code": "000000"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "body.code")
        answer = await client.post(
            "/me/second-factor/confirm", json={"code": code_of(begun["secret"], city)}
        )
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["recovery_codes"]) == 10
        assert dict(client.cookies) != before
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        assert (await client.post("/me/second-factor")).status_code == 409
    async with door.client() as fresh:
        body = {"login": "bat.office", "password": PASSWORD}
        needed = await fresh.post("/session", json=body)
        assert (needed.status_code, needed.json()["type"]) == (
            401, "urn:utaa:problem:second-factor-needed",
        )  # fmt: skip
        assert not fresh.cookies
        code = code_of(begun["secret"], city, 1)
        assert (await fresh.post("/session", json={**body, "code": code})).status_code == 201


async def test_an_old_cookie_is_worth_nothing_after_a_new_password(door) -> None:
    async with await door.signed_in("bat.office", ["duty"]) as client, door.client() as thief:
        thief.cookies = {**client.cookies}
        assert (await thief.get("/me")).status_code == 200
        wrong = await client.put("/me/password", json={"old": NEW, "password": NEW})
        assert wrong.status_code == 401
        answer = await client.put("/me/password", json={"old": PASSWORD, "password": NEW})
        assert answer.status_code == 200, answer.text
        assert (await client.get("/me")).status_code == 200
        assert (await thief.get("/me")).status_code == 401


async def test_a_session_fixed_beforehand_is_not_the_one_that_signs_in(door) -> None:
    await door.people.new_person("bat.office", PASSWORD, ["duty"])
    async with door.client() as client:
        client.cookies.set("__Host-utaa_session", "chosen-by-an-attacker", domain="city.test")
        await client.post("/session", json={"login": "bat.office", "password": PASSWORD})
        values = [cookie.value for cookie in client.cookies.jar]
    assert await door.people.known_by_session("chosen-by-an-attacker") is None
    assert any([await door.people.known_by_session(value) for value in values if value])


async def test_ones_sessions_are_listed_without_tokens_and_ended(door) -> None:
    async with await door.signed_in("bat.office", ["duty"]) as client:
        async with door.client() as other:
            await other.post("/session", json={"login": "bat.office", "password": PASSWORD})
            lines = (await client.get("/me/sessions")).json()
            assert sorted(line["current"] for line in lines) == [False, True]
            assert not any(value in str(lines) for value in client.cookies.values())
            victim = next(line["id"] for line in lines if not line["current"])
            assert (await client.delete(f"/me/sessions/{victim}")).status_code == 204
            assert (await other.get("/me")).status_code == 401
            assert (await client.delete(f"/me/sessions/{victim}")).status_code == 404
        assert (await client.delete("/me/sessions")).status_code == 204
        assert (await client.get("/me")).status_code == 200


async def test_an_administrator_sets_roles_ends_sessions_and_lets_nobody_be_the_last(
    door, people: Identity
) -> None:
    async with (
        await door.signed_in("boss", ["administrator"]) as boss,
        await door.signed_in("bat.office", ["duty"]) as bat,
    ):
        bats = (await bat.get("/me")).json()["id"]
        bosss = (await boss.get("/me")).json()["id"]
        assert (await boss.put(f"/people/{bats}/roles", json={"roles": ["king"]})).status_code == 422
        assert (await boss.put("/people/none/roles", json={"roles": []})).status_code == 404
        changed = await boss.put(f"/people/{bats}/roles", json={"roles": ["registrar"]})
        assert changed.status_code == 204, changed.text
        assert (await bat.get("/me")).status_code == 401
        last = await boss.post(f"/people/{bosss}/retire", json={"reason": "leaves"})
        assert (last.status_code, last.json()["title"]) == (409, "It contradicts what is recorded")
        gone = await boss.post(f"/people/{bats}/retire", json={"reason": "left"})
        assert gone.status_code == 204
        async with door.client() as again:
            body = {"login": "bat.office", "password": PASSWORD}
            assert (await again.post("/session", json=body)).status_code == 401
        assert (await boss.put("/role-rules/king", json={"second_factor": True})).status_code == 422
        ruled = await boss.put("/role-rules/administrator", json={"second_factor": True})
        assert ruled.status_code == 204
        refused = await boss.get("/people")
        assert refused.status_code == 403  # the rule holds for whoever made it, at once
        assert (await boss.post("/me/second-factor")).status_code == 201


async def test_an_emergency_is_shown_to_administrators_who_may_end_it(door) -> None:
    reason = "the desk is empty and a home burns"
    async with (
        await door.signed_in("boss", ["administrator"]) as boss,
        await door.signed_in("bat.office", ["approver"]) as bat,
    ):
        body = {"role": "duty", "minutes": 10, "reason": reason}
        assert "incident.acknowledge" not in (await bat.get("/me")).json()["actions"]
        taken = await bat.post("/me/emergency", json=body)
        assert taken.status_code == 201, taken.text
        assert "incident.acknowledge" in (await bat.get("/me")).json()["actions"]
        (shown,) = (await boss.get("/emergencies")).json()
        assert (shown["login"], shown["role"], shown["reason"]) == ("bat.office", "duty", reason)
        assert (await boss.delete(f"/emergencies/{shown['id']}")).status_code == 204
        assert "incident.acknowledge" not in (await bat.get("/me")).json()["actions"]


@pytest.mark.parametrize("path", ["/me/second-factor", "/me/emergency"])
async def test_a_machine_has_no_account(door, path: str) -> None:
    body = {"role": "duty", "minutes": 10, "reason": "a machine wants to rule"}
    async with await door.machine(["duty"]) as client:
        assert (await client.post(path, json=body)).status_code == 404


async def test_a_token_for_one_unit_lists_that_unit_alone(door) -> None:
    async with await door.signed_in("boss", ["administrator", "registrar"]) as boss:
        for site, unit in [("s1", "111663"), ("s2", "111664")]:
            made = await boss.post("/sites", json={"id": site, "title": site, "unit_code": unit})
            assert made.status_code == 201, made.text
        body = {"name": "one", "roles": ["duty"], "days": 1, "unit_code": "111663"}
        token = (await boss.post("/tokens", json=body)).json()["token"]
    async with door.client(Authorization=f"Bearer {token}") as machine:
        assert [row["id"] for row in (await machine.get("/sites")).json()["items"]] == ["s1"]
        assert (await machine.get("/sites/s2")).status_code == 403
