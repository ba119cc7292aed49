"""The broker's closed door, on a real Mosquitto with its dynamic-security plugin: what a stolen
certificate of a site cannot do, and that revoking and renewing need no restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sqlalchemy import func, select
from typer.testing import CliRunner

from alerts.models import AlarmRecord
from edge.wire.topics import (
    DOWNLINK_LEAVES,
    INGEST_GROUP,
    detector_topic,
    ingest_filter,
    site_topic,
)
from gateway.broker.ca import KINDS, Authority, CaError, utc_now, write_bundle
from gateway.broker.commands import broker as broker_commands
from gateway.broker.commands import ca as ca_commands
from gateway.broker.commands import mosquitto_conf
from gateway.broker.control import ControlError, Door, bring
from gateway.broker.files import CertificateProblem, TlsFiles
from gateway.broker.rules import first_file, steps, wanted
from gateway.ingest.inbox import BrokerAddress, Inbox
from gateway.settings import load_settings
from tests.edge.conftest import AgentProcess
from tests.gateway.test_gateway_worker import working
from tests.servers import until
from utaa.servers import LOCALHOST, Mosquitto

REFUSED = 128  # MQTT 3.1.1 §3.9.3: the broker does not grant the subscription


@dataclass
class ClosedBroker:
    """A broker that lets in certificates of our authority only."""

    server: Mosquitto
    authority: Authority
    folder: Path

    def certificate(self, kind: Any, name: str) -> TlsFiles:
        return self.files_of(kind, name, f"{kind}-{name}")

    def files_of(self, kind: Any, name: str, folder: str) -> TlsFiles:
        made = write_bundle(
            self.authority.issue(kind, name, utc_now()), self.authority, self.folder / folder
        )
        return TlsFiles(made["ca"], made["cert"], made["key"])

    @property
    def admin(self) -> Door:
        folder = self.folder / "admin"
        files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        return Door(LOCALHOST, self.server.port, files)

    async def sync(self) -> list[dict[str, Any]]:
        return await bring(self.admin, wanted(self.authority.issued(), utc_now()))

    def client(self, files: TlsFiles, **options: Any) -> aiomqtt.Client:
        return aiomqtt.Client(LOCALHOST, self.server.port, tls_context=files.context(), **options)


@pytest.fixture
async def closed(
    tmp_path: Path, own_mosquitto: Callable[..., Coroutine[Any, Any, Mosquitto]]
) -> AsyncIterator[ClosedBroker]:
    authority = Authority.create(tmp_path / "ca", "Test", utc_now())
    folder = tmp_path / "broker"
    write_bundle(authority.issue("broker", "main", utc_now(), hosts=[LOCALHOST]), authority, folder)
    admin = authority.issue("admin", "broker", utc_now())
    write_bundle(admin, authority, tmp_path / "admin")
    rules = folder / "dynamic-security.json"
    rules.write_text(json.dumps(first_file(admin.issued.identity)))
    lines = [line for line in mosquitto_conf(folder, 1).splitlines() if line and line[0] != "#"]
    settings = dict(line.split(" ", 1) for line in lines if not line.startswith("listener"))
    del settings["tls_version"]
    server = await own_mosquitto(settings={**settings, "allow_anonymous": "false"})
    yield ClosedBroker(server, authority, tmp_path)


async def _granted(client: aiomqtt.Client, topic: str) -> bool:
    codes = await client.subscribe(topic, qos=1)
    return all(getattr(code, "value", code) < REFUSED for code in codes)


async def _next(client: aiomqtt.Client) -> tuple[str, bytes]:
    async with asyncio.timeout(10):
        message = await anext(aiter(client.messages))
    return str(message.topic), bytes(message.payload)


async def test_a_site_and_the_city_speak_through_the_closed_door(closed: ClosedBroker) -> None:
    site, city = closed.certificate("site", "s1"), closed.certificate("gateway", "g1")
    await closed.sync()
    async with closed.client(site) as at_site, closed.client(city) as in_city:
        assert await _granted(in_city, ingest_filter("event"))
        assert await _granted(at_site, site_topic("s1", "ack"))
        await at_site.publish(site_topic("s1", "event"), b"smoke", qos=1)
        assert await _next(in_city) == (site_topic("s1", "event"), b"smoke")
        await in_city.publish(site_topic("s1", "ack"), b"have it", qos=1)
        assert await _next(at_site) == (site_topic("s1", "ack"), b"have it")


@pytest.mark.parametrize(
    "topic",
    [
        "#", "+/#", "utaa/#", "utaa/v1/site/#", site_topic("s2", "ack"), site_topic("+", "ack"),
        site_topic("s2", "frame"), site_topic("s1", "frame"), ingest_filter("event"),
        ingest_filter("frame", shared=False), f"$share/{INGEST_GROUP}/#", "$share/mine/#",
        f"$share/mine/{site_topic('s2', 'event')}", f"$share/x/{site_topic('s1', 'ack')}",
        "$SYS/#", "$CONTROL/#", "$CONTROL/dynamic-security/v1/response",
    ],
)  # fmt: skip
async def test_a_stolen_site_certificate_reads_nobody_elses_messages(
    closed: ClosedBroker, topic: str
) -> None:
    stolen = closed.certificate("site", "s1")
    await closed.sync()
    async with closed.client(stolen) as thief:
        assert not await _granted(thief, topic)


async def test_a_stolen_site_certificate_forges_nothing(closed: ClosedBroker) -> None:
    stolen, other = closed.certificate("site", "s1"), closed.certificate("site", "s2")
    city = closed.certificate("gateway", "g1")
    await closed.sync()
    async with closed.client(city) as in_city, closed.client(other) as victim:
        for leaf in ("event", "frame", "status"):
            assert await _granted(in_city, ingest_filter(leaf))
        for leaf in ("ack", "config", "command"):
            assert await _granted(victim, site_topic("s2", leaf))  # type: ignore[arg-type]
        forged = [site_topic(site, leaf) for site in ("s1", "s2") for leaf in DOWNLINK_LEAVES]
        forged += [site_topic("s2", leaf) for leaf in ("event", "frame", "status")]
        for topic in [*forged, "$CONTROL/dynamic-security/v1"]:
            will = aiomqtt.Will(site_topic("s2", "status"), b"forged", 1, retain=True)
            with contextlib.suppress(aiomqtt.MqttError):  # it hangs up on a forger, who leaves a will
                async with closed.client(stolen, will=will, timeout=5) as thief:
                    await thief.publish(topic, b"forged", qos=1, retain=True)
        async with closed.client(stolen) as honest, closed.client(city) as last:
            await honest.publish(site_topic("s1", "event"), b"my own", qos=1)
            await last.publish(site_topic("s2", "ack"), b"the city's", qos=1)
        assert (await _next(in_city))[1] == b"my own"
        assert (await _next(victim))[1] == b"the city's"


async def test_a_revoked_site_is_out_at_once_and_its_next_certificate_is_in(
    closed: ClosedBroker,
) -> None:
    stolen = closed.certificate("site", "s1")
    await closed.sync()
    async with closed.client(stolen) as thief:
        assert await _granted(thief, site_topic("s1", "ack"))
        fresh = closed.files_of("site", "s1", "fresh")
        old = next(each for each in closed.authority.issued() if each.name == "s1")
        closed.authority.revoke(old.identity, utc_now(), "stolen")
        await closed.sync()
        await until(lambda: thief._disconnected.done(), "the broker drops the revoked name")
        async with closed.client(fresh) as site:
            assert await _granted(site, site_topic("s1", "ack"))
    async with closed.client(stolen) as again:
        assert not await _granted(again, site_topic("s1", "ack"))


async def test_a_gateway_shows_its_renewed_certificate_without_a_restart(closed: ClosedBroker) -> None:
    files = closed.certificate("gateway", "g1")
    await closed.sync()
    address = BrokerAddress.parse(f"mqtts://{LOCALHOST}:{closed.server.port}", files)
    inbox = Inbox(name="test", broker=address, filters=[ingest_filter("event")])
    site = closed.certificate("site", "s1")
    inbox.start()
    try:
        await inbox.ready(20)
        old = next(each for each in closed.authority.issued() if each.kind == "gateway")
        closed.files_of("gateway", "g1", "gateway-g1")
        await closed.sync()
        closed.authority.revoke(old.identity, utc_now(), "renewed")
        await closed.sync()
        await until(lambda: not inbox.connected or inbox.trouble != "no answer", "the old name ends")
        await until(lambda: inbox.connected, "the new one is let in")
        async with closed.client(site) as at_site:
            await at_site.publish(site_topic("s1", "event"), b"smoke", qos=1)
        async with asyncio.timeout(20):
            assert [each.payload for each in await inbox.take(10, 1000)] == [b"smoke"]
    finally:
        await inbox.stop()


async def test_a_sites_alarms_arrive_through_a_rotation_of_its_certificate(
    closed: ClosedBroker, own_mosquitto: Callable[..., Coroutine[Any, Any, Mosquitto]], tmp_path: Path
) -> None:
    city_files, site_files = closed.certificate("gateway", "g1"), closed.certificate("site", "s1")
    await closed.sync()
    at_home = await own_mosquitto()
    settings = load_settings(
        data_dir=tmp_path / "city", broker_url=f"mqtts://{LOCALHOST}:{closed.server.port}",
        broker_ca_file=city_files.ca, broker_cert_file=city_files.cert, broker_key_file=city_files.key,
    )  # fmt: skip
    tls = {
        "UTAA_EDGE_CITY_BROKER__TLS": "true",
        "UTAA_EDGE_CITY_BROKER__CA_FILE": str(site_files.ca),
        "UTAA_EDGE_CITY_BROKER__CERT_FILE": str(site_files.cert),
        "UTAA_EDGE_CITY_BROKER__KEY_FILE": str(site_files.key),
    }
    agent = AgentProcess(site="s1", port=at_home.port, data=tmp_path / "spool")
    async with working(settings) as (city, _worker):

        async def raised(count: int) -> bool:
            async with city.database.read() as session:
                return (await session.scalar(select(func.count()).select_from(AlarmRecord))) == count

        async def smoke(address: str) -> None:
            async with aiomqtt.Client(LOCALHOST, at_home.port) as device:
                payload = json.dumps({"smoke_alarm": True})
                await device.publish(detector_topic(address, "reading"), payload, qos=1)

        agent.start("--city-broker", f"{LOCALHOST}:{closed.server.port}", **tls)
        try:
            await until(lambda: "intake.connected" in agent.log(), "the agent listens")
            await smoke("kitchen")
            await until(lambda: raised(1), "the first alarm in the city")
            old = next(each for each in closed.authority.issued() if each.kind == "site")
            closed.files_of("site", "s1", "site-s1")
            await closed.sync()
            closed.authority.revoke(old.identity, utc_now(), "renewed")
            await closed.sync()
            await smoke("bedroom")
            await until(lambda: raised(2), "the alarm after the rotation")
        finally:
            agent.kill()


async def test_nobody_comes_in_without_a_certificate_of_ours(closed: ClosedBroker) -> None:
    stranger = Authority.create(closed.folder / "strange", "Stranger", utc_now())
    made = write_bundle(stranger.issue("admin", "x", utc_now()), stranger, closed.folder / "x")
    for files in (
        TlsFiles(closed.authority.certificate),
        TlsFiles(closed.authority.certificate, made["cert"], made["key"]),
    ):
        with pytest.raises((aiomqtt.MqttError, OSError)):
            async with closed.client(files, timeout=1) as client:
                await client.publish("utaa/v1/doctor", b"", qos=1)
    with pytest.raises(ControlError, match=r"let us in|did not answer"):
        await bring(
            Door(LOCALHOST, closed.server.port, TlsFiles(made["ca"], made["cert"], made["key"])),
            wanted([], utc_now()),
        )


async def test_bringing_the_rules_twice_changes_nothing(closed: ClosedBroker) -> None:
    closed.certificate("site", "s1")
    closed.certificate("device", "0x00158d0001a2b3c4")
    assert {each["command"] for each in await closed.sync()} == {"createRole", "createClient"}
    assert await closed.sync() == []
    want = wanted(closed.authority.issued(), utc_now())
    assert steps(want, want) == []


def test_a_certificate_over_its_time_or_of_a_broker_gives_no_rights(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "Test", utc_now())
    authority.issue("broker", "main", utc_now(), hosts=["localhost"])
    authority.issue("site", "s1", utc_now(), days=1)
    assert len(wanted(authority.issued(), utc_now()).clients) == 1
    assert not wanted(authority.issued(), utc_now() + timedelta(days=2)).clients


def test_a_signing_request_keeps_the_key_where_it_was_made(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "Test", utc_now())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin.me.0")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)
    bundle = authority.issue("site", "s1", utc_now(), csr_pem=pem)
    assert bundle.key is None
    signed = x509.load_pem_x509_certificate(bundle.certificate)
    assert signed.public_key() == key.public_key()
    assert signed.subject.rfc4514_string().startswith("CN=site.s1.")  # never what the request asked
    weak = rsa.generate_private_key(65537, 1024)
    bad = x509.CertificateSigningRequestBuilder().subject_name(name).sign(weak, hashes.SHA256())
    with pytest.raises(CaError, match="P-256"):
        authority.issue("site", "s1", utc_now(), csr_pem=bad.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(CaError, match="PKCS #10"):
        authority.issue("site", "s1", utc_now(), csr_pem=b"hello")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["issue", "planet", "x"], f"expected one of {', '.join(KINDS)}"),
        (["issue", "site", "a/b"], "letters, digits"),
        (["issue", "broker", "main"], "--host"),
        (["issue", "site", "s1", "--days", "0"], "1 to 3650 days"),
        (["renew", "site", "nobody"], "use 'utaa ca issue'"),
    ],
)
def test_a_wrong_word_at_the_console_says_what_was_expected(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    run = CliRunner()
    folder = ["--folder", str(tmp_path / "ca")]
    assert run.invoke(ca_commands, ["init", *folder]).exit_code == 0
    result = run.invoke(ca_commands, [*arguments, *folder, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert said in result.output
    missing = run.invoke(ca_commands, ["list", "--folder", str(tmp_path / "nowhere")])
    assert "utaa ca init" in missing.output


def test_the_console_makes_an_authority_a_broker_and_ends_a_certificate(tmp_path: Path) -> None:
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("Mosquitto is not installed")
    run = CliRunner()
    folder = ["--folder", str(tmp_path / "ca")]
    assert run.invoke(ca_commands, ["init", *folder]).exit_code == 0
    out = ["--out", str(tmp_path / "broker")]
    made = run.invoke(broker_commands, ["init", *folder, *out, "--host", "mqtt.example.org"])
    assert made.exit_code == 0, made.output
    assert "require_certificate true" in (tmp_path / "broker/mosquitto.conf").read_text()
    assert (tmp_path / "broker/key.pem").stat().st_mode & 0o077 == 0
    again = run.invoke(broker_commands, ["init", *folder, *out, "--host", "mqtt.example.org"])
    assert "has rules already" in again.output
    for verb in ("issue", "renew"):
        site = [verb, "site", "s1", *folder, "--out", str(tmp_path / "s1")]
        assert run.invoke(ca_commands, site).exit_code == 0
    ended = run.invoke(
        ca_commands, ["revoke", "site.s1", "--reason", "renewed", "--except-newest", *folder]
    )
    assert ended.output.count("revoked site.s1.") == 1
    listed = run.invoke(ca_commands, ["list", "--all", "--json", *folder]).output.splitlines()
    states = [(line["identity"][:7], line["state"]) for line in map(json.loads, listed)]
    assert states.count(("site.s1", "revoked")) == 1
    assert states.count(("site.s1", "valid")) == 1
    crl = x509.load_pem_x509_crl((tmp_path / "ca/crl.pem").read_bytes())
    assert len(list(crl)) == 1


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateProblem, match=r"cert\.pem"):
        TlsFiles(None, tmp_path / "cert.pem", tmp_path / "key.pem").context()
    with pytest.raises(CertificateProblem, match=r"ca\.pem"):
        TlsFiles(tmp_path / "ca.pem").context()
