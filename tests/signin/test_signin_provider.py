"""Signing in by a real OpenID provider, and everything that is not one."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

import gateway.schema  # noqa: F401  # all tables belong to the metadata
from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import SystemClock
from gateway.app import create_app
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.signin import routes as signin_routes
from gateway.signin.provider import Provider, ProviderError, ProviderSettings
from gateway.web import routes
from registry.accounts.outside import OutsideAccounts
from registry.db import Database
from registry.identity import Identity
from registry.outward import Guard, networks
from registry.rights import Actor
from registry.sealed import Keyring
from tests.api.conftest import PASSWORD, cheap_passwords
from tests.made import make_tables
from tests.servers import missing

SCRIPT = Path(__file__).with_name("provider.mjs")
PACKAGE = Path(__file__).parents[2] / "node_modules" / "oidc-provider"
SECRET = "a secret of this test alone, long enough"
CALLBACK = "https://city.test/signin/provider/callback"
BOSS = Actor("boss", "staff")


@dataclass
class Site:
    """A city whose staff may sign in by a provider."""

    browser: httpx.AsyncClient
    people: Identity
    visitors: OutsideAccounts
    provider: Provider
    issuer: str

    async def sent_to(self, next: str = "/") -> str:
        out = await self.browser.get("/signin/provider", params={"next": next})
        assert out.status_code == 303, out.text
        return out.headers["location"]

    async def come_back(self, name: str, next: str = "/") -> httpx.Response:
        """Through the provider as this name, back at our callback."""
        return await self.browser.get(await through(await self.sent_to(next), name))


async def through(address: str, name: str) -> str:
    """What a browser does at the provider: sign in, consent; the address it is sent back to."""
    async with httpx.AsyncClient(trust_env=False) as there:
        for _ in range(12):
            answer = await there.get(address)
            if answer.status_code in (302, 303):
                address = str(answer.url.join(answer.headers["location"]))
            else:
                assert answer.status_code == 200, answer.text
                prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
                action = re.search(r'action="([^"]+)"', answer.text)
                assert prompt and action, answer.text
                data = {"prompt": prompt[1], "login": name, "password": "any"}
                answer = await there.post(str(answer.url.join(action[1])), data=data)
                address = str(answer.url.join(answer.headers["location"]))
            if address.startswith(CALLBACK):
                return address
    raise AssertionError("the provider did not send the browser back")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    node = shutil.which("node")
    if node is None or not PACKAGE.exists():
        missing("node with oidc-provider (npm ci) for signing in by a provider")
    command = [node, str(SCRIPT)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        yield json.loads(process.stdout.readline())["issuer"]
        process.stdin.close()


def settings_of(issuer: str, **other: Any) -> ProviderSettings:
    return ProviderSettings("Test", issuer, "utaa", SECRET, **other)


async def site_of(settings: ProviderSettings, folder: Path, issuer: str) -> AsyncIterator[Site]:
    database, clock = Database(f"sqlite:///{folder}/city.db"), SystemClock()
    await make_tables(database)
    keyring = Keyring({"k001": b"k" * 32})
    people = Identity(database, clock, passwords=cheap_passwords(), keyring=keyring)
    city: Any = SimpleNamespace(
        database=database, clock=clock, keyring=keyring, hub=Hub(Metrics()), policy=DEFAULT_POLICY,
        doors=Doors(), data_dir=folder, wake_alerts=lambda: None, wake_configs=lambda: None,
        settings=SimpleNamespace(open_overview=False, tile_url=None, tile_attribution=""),
    )  # fmt: skip
    app = create_app(city, identity=people, extra=[routes.router, signin_routes.router])
    routes.install(app)
    provider = Provider(settings, keyring, clock, Guard(networks(["127.0.0.0/8"])))
    app.state.provider = provider
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://city.test") as browser:
        visitors = OutsideAccounts(database, keyring, clock)
        yield Site(browser, people, visitors, provider, issuer)
    await database.close()


@pytest.fixture
async def site(issuer: str, tmp_path: Path) -> AsyncIterator[Site]:
    async for each in site_of(settings_of(issuer), tmp_path, issuer):
        yield each


async def test_a_stranger_is_let_in_only_after_an_administrator_said_who_it_is(site: Site) -> None:
    assert "Test" in (await site.browser.get("/signin")).text
    answer = await site.come_back("bat@example.mn", "/?lang=en")
    assert answer.status_code == 403
    assert (await site.browser.get("/api/v1/me")).status_code == 401
    found = re.search(r"<strong>([0-9A-Z]{8})</strong>", answer.text)
    assert found, answer.text
    person = await site.people.new_person("bat.office", PASSWORD, ["duty"])
    await site.visitors.link(found[1], person, by=BOSS)
    answer = await site.come_back("bat@example.mn", "/?lang=en")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?lang=en")
    assert (await site.browser.get("/api/v1/me")).json()["login"] == "bat.office"
    other = await site.come_back("oyu@example.mn")
    assert other.status_code == 403


async def test_what_is_sent_out_carries_pkce_state_and_nonce_and_no_verifier(site: Site) -> None:
    asked = {k: v[0] for k, v in parse_qs(urlsplit(await site.sent_to()).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 32
    assert asked["state"] != asked["nonce"]
    cookie = site.browser.cookies["__Host-utaa_signin"]
    assert not any(asked[name] in cookie for name in ("state", "nonce"))
    assert "code_verifier" not in asked


async def test_an_answer_counts_once_and_only_in_the_browser_that_asked(site: Site) -> None:
    address = await through(await site.sent_to(), "bat@example.mn")
    ticket = site.browser.cookies["__Host-utaa_signin"]
    site.browser.cookies.clear()
    assert (await site.browser.get(address)).status_code == 400  # another browser
    await site.sent_to()
    assert (await site.browser.get(address)).status_code == 400  # another ticket
    site.browser.cookies.clear()
    site.browser.cookies.set("__Host-utaa_signin", ticket, domain="city.test")
    assert (await site.browser.get(address)).status_code == 403  # known, not linked
    site.browser.cookies.set("__Host-utaa_signin", ticket, domain="city.test")
    assert (await site.browser.get(address)).status_code == 400  # the code is used up


@pytest.mark.parametrize(
    "change", [{"state": "x"}, {"code": "x"}, {"iss": "https://evil.test"}, {"error": "access_denied"}]
)
async def test_an_answer_that_was_altered_is_refused(site: Site, change: dict[str, str]) -> None:
    address = await through(await site.sent_to(), "bat@example.mn")
    answer = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()} | change
    back = await site.browser.get("/signin/provider/callback", params=answer)
    assert back.status_code == 400
    assert (await site.browser.get("/api/v1/me")).status_code == 401


async def test_nobody_is_sent_on_to_another_site(site: Site) -> None:
    answer = await site.come_back("bat@example.mn", "//evil.test/")
    found = re.search(r"<strong>([0-9A-Z]{8})</strong>", answer.text)
    assert found
    await site.visitors.link(found[1], await site.people.new_person("bat", PASSWORD, []), by=BOSS)
    assert (await site.come_back("bat@example.mn", "//evil.test/")).headers["location"] == "/"


async def test_dan_is_asked_by_a_scope_of_base64_json_and_names_a_register_number(
    issuer: str, tmp_path: Path
) -> None:
    dan = settings_of(
        issuer, profile="dan", authorize_url=f"{issuer}/auth", token_url=f"{issuer}/token",
        service_url=f"{issuer}/service",
    )  # fmt: skip
    async for site in site_of(dan, tmp_path, issuer):
        address = await site.sent_to()
        (scope,) = parse_qs(urlsplit(address).query)["scope"]
        assert json.loads(base64.b64decode(scope))[0]["services"] == ["WS100101_getCitizenIDCardInfo"]
        answer = await site.browser.get(await through(address, "ТЕ00000000"))
        found = re.search(r"<strong>([0-9A-Z]{8})</strong>", answer.text)
        assert found, answer.text
        assert "ТЕ00000000" not in answer.text
        bytes_kept = (tmp_path / "city.db").read_bytes()
        assert "ТЕ00000000".encode() not in bytes_kept


_KEY = RSAKey.generate_key(2048)
_OTHER = RSAKey.generate_key(2048)


def _claims(**changes: Any) -> dict[str, Any]:
    now_s = SystemClock().now_us() // 1_000_000
    base = {
        "iss": "https://op.test", "aud": "utaa", "sub": "bat", "nonce": "N", "iat": now_s,
        "exp": now_s + 60,
    }  # fmt: skip
    return {k: v for k, v in (base | changes).items() if v is not None}


@pytest.mark.parametrize(
    ("wrong", "claims"),
    [
        ("iss", {"iss": "https://evil.test"}), ("aud", {"aud": "another"}), ("aud", {"aud": None}),
        ("azp", {"aud": ["utaa", "another"]}), ("azp", {"azp": "another"}),
        ("exp", {"exp": 1}), ("exp", {"exp": None}), ("iat", {"iat": 9_999_999_999}),
        ("nonce", {"nonce": "M"}), ("nonce", {"nonce": None}), ("sub", {"sub": None}),
    ],
)  # fmt: skip
async def test_an_id_token_is_read_with_every_check(wrong: str, claims: dict[str, Any]) -> None:
    provider = _alone()
    token = jwt.encode({"alg": "RS256"}, _claims(**claims), _KEY)
    with pytest.raises(ProviderError, match=f"^answer: {wrong}$"):
        await provider._id_subject({"id_token": token}, {"jwks_uri": "x"}, "N")


async def test_an_id_token_signed_by_a_stranger_or_by_nobody_is_refused() -> None:
    provider = _alone()
    good = jwt.encode({"alg": "RS256"}, _claims(), _KEY)
    assert await provider._id_subject({"id_token": good}, {"jwks_uri": "x"}, "N") == "bat"
    head, body, _ = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    by_secret = jwt.encode({"alg": "HS256"}, _claims(), OctKey.import_key(SECRET))
    for token in (
        jwt.encode({"alg": "RS256"}, _claims(), _OTHER), f"{unsigned}.{body}.", f"{head}.{body}.",
        by_secret, "", "a.b.c",
    ):  # fmt: skip
        with pytest.raises(ProviderError, match="id_token"):
            await provider._id_subject({"id_token": token}, {"jwks_uri": "x"}, "N")


def _alone() -> Provider:
    """A provider whose keys are at hand."""
    made = Provider(
        settings_of("https://op.test"), Keyring({"k001": b"k" * 32}), SystemClock(), Guard()
    )

    async def keys(_method: str, _url: str, **_: Any) -> Any:
        return {"keys": [_KEY.as_dict(private=False)]}

    made._ask = keys  # type: ignore[method-assign, assignment]
    return made
