"""What cameras say of themselves by ONVIF: maker, model, firmware, serial number, clock; who is there.

``ask`` talks to one camera (onvif-zeep-async; WS-UsernameToken digest); ``ask_all`` goes through a
watchman's cameras, a few at a time and seldom, and leaves what it finds as ``Camera.findings`` and
device facts. ``discover`` calls into the network (WS-Discovery) and lists who answers: a worklist of
cameras that nobody registered, and of registered ones that moved to another address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import structlog
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from edge.cameras.errors import need
from edge.cameras.talk import Address

log = structlog.get_logger()

#: Everything about one camera within this time.
ASK_S: Final = 10.0
#: A camera is asked this often, and one after the other with a pause.
EVERY_S: Final = 6 * 3600.0
PAUSE_S: Final = 1.0
#: A clock this far off makes its recordings worthless as evidence.
MAX_DRIFT_S: Final = 120.0
#: WS-Discovery's multicast address.
MULTICAST: Final = ("239.255.255.250", 3702)
MAX_REPLY_BYTES: Final = 65_536
MAX_FOUND: Final = 10_000
_NS: Final = {
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "d": "http://schemas.xmlsoap.org/ws/2005/04/discovery",
}
_PROBE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
    ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header>'
    "<w:MessageID>uuid:{ident}</w:MessageID>"
    "<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
    "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>"
    "<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera says of itself. ``drift_s``: its clock less ours; None: it does not say."""

    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    drift_s: float | None = None
    #: not_there, wrong_password, refused (a SOAP fault), timeout, not_onvif
    problem: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A device that answered. ``name``, ``hardware``: its own words, not to be trusted."""

    host: str
    endpoint: str
    services: list[str]
    name: str | None = None
    hardware: str | None = None


async def ask(host: str, port: int, user: str | None, password: str | None) -> Device:
    """Device information and time. Never raises for what a camera does."""
    library = need("onvif")
    logging.getLogger("onvif").setLevel(logging.CRITICAL)  # its texts quote addresses
    camera = library.ONVIFCamera(host, port, user, password, no_cache=True, adjust_time=True)
    try:
        async with asyncio.timeout(ASK_S):
            await camera.update_xaddrs()
            service = await camera.create_devicemgmt_service()
            drift_s = _drift_s(await service.GetSystemDateAndTime())
            said = await service.GetDeviceInformation()
        return Device(
            maker=_label(said.Manufacturer), model=_label(said.Model), drift_s=drift_s,
            firmware=_label(said.FirmwareVersion), serial=_label(said.SerialNumber),
        )  # fmt: skip
    except TimeoutError:
        return Device(problem="timeout")
    except Exception as error:  # zeep's, aiohttp's, lxml's and the library's own: a closed word of ours
        return Device(problem=_problem(error))
    finally:
        with contextlib.suppress(Exception):
            await camera.close()


def _problem(error: Exception) -> str:
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    text = f"{kinds} {error}".lower()
    if any(word in text for word in ("notauthorized", "not authorized", "401", "autherror")):
        return "wrong_password"
    if any(word in text for word in ("cannot connect", "oserror", "disconnected", "connection")):
        return "not_there"
    return "refused" if isinstance(error, need("zeep.exceptions").Fault) else "not_onvif"


def _drift_s(said: Any) -> float | None:
    moment = getattr(said, "UTCDateTime", None)
    if moment is None:
        return None
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        date, clock = moment.Date, moment.Time
        seconds = min(int(clock.Second), 59)
        told = datetime(date.Year, date.Month, date.Day, clock.Hour, clock.Minute, seconds, tzinfo=UTC)
        return round((told - datetime.now(UTC)).total_seconds(), 1)
    return None


def _label(text: Any) -> str | None:
    """At most 100 printable characters; None for nothing."""
    kept = "".join(c for c in str(text or "") if c.isprintable()).strip()[:100]
    return kept or None


# -- a watchman's cameras ---------------------------------------------------------------------------


async def ask_all(
    watchman: Any, entries: Mapping[str, Any], devices: dict[str, Device], *, first_s: float = 20.0
) -> None:
    """Go round the cameras until cancelled. ``entries``: their ``roster.Entry`` by name."""
    await asyncio.sleep(first_s)
    while True:
        for camera in list(watchman.cameras):
            entry = entries.get(camera.name)
            if entry is not None and entry.onvif_port:
                await ask_one(camera, entry.serial, devices, entry.onvif_port)
                await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(EVERY_S)


async def ask_one(camera: Any, serial: str | None, devices: dict[str, Device], port: int = 80) -> None:
    """Ask a camera and leave its findings. One that does not speak ONVIF has none."""
    try:
        address = Address.parse(camera.url)
    except ValueError:
        return
    if address.user is None or not camera.probed:
        return
    said = await ask(address.host, port, address.user, address.password)
    if said.problem is not None:
        log.info("camera.onvif_silent", camera=camera.name, reason=said.problem)
        return
    devices[camera.name] = said
    camera.findings = findings(said, serial)


def findings(said: Device, serial: str | None) -> tuple[str, ...]:
    """What is not as registered, for a person."""
    found = []
    if serial and said.serial and serial.strip().lower() != said.serial.strip().lower():
        found.append("another camera answers at its address (serial number)")
    if said.drift_s is not None and abs(said.drift_s) > MAX_DRIFT_S:
        found.append(f"its clock is {said.drift_s:+.0f} s off")
    return tuple(found)


# -- who is there -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ears(asyncio.DatagramProtocol):
    found: dict[str, Found]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if len(self.found) < MAX_FOUND:
            for one in read_matches(data, str(addr[0])):
                self.found.setdefault(one.endpoint or one.host, one)


async def discover(
    wait_s: float = 4.0, to: tuple[str, int] = MULTICAST, *, interface: str | None = None
) -> list[Found]:
    """Call, wait, list who answered; by address. Raises ``OSError`` where the network forbids it."""
    loop = asyncio.get_running_loop()
    found: dict[str, Found] = {}
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Ears(found),
        local_addr=(interface or "0.0.0.0", 0),  # noqa: S104  # answers come by any way
        family=socket.AF_INET,
    )
    try:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
        for _ in range(2):  # datagrams get lost
            transport.sendto(_PROBE.format(ident=uuid.uuid4()).encode(), to)
            await asyncio.sleep(wait_s / 2)
    finally:
        transport.close()
    return sorted(found.values(), key=lambda one: (_by_number(one.host), one.endpoint))


def _by_number(host: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", host))


def read_matches(data: bytes, sender: str) -> list[Found]:
    """The devices of one answer; none of what cannot be read."""
    if len(data) > MAX_REPLY_BYTES:
        return []
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return []
    result = []
    for match in root.iterfind(".//d:ProbeMatch", _NS):
        endpoint = match.findtext("a:EndpointReference/a:Address", "", _NS).strip()[:200]
        services = match.findtext("d:XAddrs", "", _NS).split()[:8]
        scopes = match.findtext("d:Scopes", "", _NS).split()[:64]
        result.append(
            Found(
                host=sender, endpoint=endpoint, services=[s[:200] for s in services],
                name=_scope(scopes, "name"), hardware=_scope(scopes, "hardware"),
            )
        )  # fmt: skip
    return result


def _scope(scopes: list[str], word: str) -> str | None:
    head = f"onvif://www.onvif.org/{word}/"
    said = next((s[len(head) :] for s in scopes if s.startswith(head)), None)
    return _label(unquote(said)) if said else None
