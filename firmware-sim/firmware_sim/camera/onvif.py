"""An ONVIF device that does not exist: device service over HTTP, and WS-Discovery.

It holds its peer to the protocol: ``GetDeviceInformation`` needs a WS-UsernameToken whose digest is
Base64(SHA1(nonce + created + password)), whose time is near the device's own, and whose nonce was not
used before; otherwise a SOAP fault ``ter:NotAuthorized``. Time and services are for everybody, as the
standard says. What it does not know is answered with ``ter:ActionNotSupported``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

#: A token may be this much older or newer than the device's clock.
TOKEN_SLACK_S: Final = 300.0
MAX_BODY: Final = 65_536
_DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
_SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


@dataclass(slots=True)
class OnvifDevice:
    """Its identity and its faults. ``fault``: None, ``hang``, ``garbage`` or ``no_onvif``."""

    user: str = "watch"
    password: str = "secret"  # noqa: S105  # of a camera that does not exist
    maker: str = "Utaa"
    model: str = "Simulated"
    firmware: str = "1.0"
    serial: str = "SIM-0001"
    drift_s: float = 0.0
    fault: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    discovery_port: int = 0
    asked: list[str] = field(default_factory=list)
    _nonces: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _udp: asyncio.DatagramTransport | None = None
    endpoint: str = field(default_factory=lambda: f"urn:uuid:{secrets.token_hex(16)}")

    async def __aenter__(self) -> OnvifDevice:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Discovery(self), local_addr=(self.host, self.discovery_port)
        )
        self.discovery_port = self._udp.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/onvif/device_service"

    def now(self) -> datetime:
        """By its own clock."""
        return datetime.now(UTC) + timedelta(seconds=self.drift_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?im)^content-length:\s*(\d+)", head)
                size = min(int(length[1]) if length else 0, MAX_BODY)
                body = await reader.readexactly(size)
                if self.fault == "hang":
                    await asyncio.sleep(3600)
                status, answer = self._answer(head, body)
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/soap+xml; charset=utf-8\r\n"
                    f"Content-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
                await writer.drain()
        writer.close()

    def _answer(self, head: str, body: bytes) -> tuple[int, bytes]:
        if self.fault == "garbage":
            return 200, b"<<<not xml at all"
        if self.fault == "no_onvif" or not head.startswith("POST /onvif/device_service"):
            return 404, b"<html>no</html>"
        try:
            root = fromstring(body)  # noqa: S314  # of a test's own, at most 64 kB
        except ParseError:
            return 400, _fault("Sender", "ter:WellFormed", "not XML")
        wanted = next(iter(root.find(f"{{{_SOAP}}}Body") or []), None)
        name = "" if wanted is None else wanted.tag.rpartition("}")[2]
        self.asked.append(name)
        known: dict[str, tuple[bool, Callable[[], str]]] = {
            "GetSystemDateAndTime": (False, self._time),
            "GetServices": (False, self._services),
            "GetDeviceInformation": (True, self._information),
        }
        if name not in known:
            return 500, _fault("Receiver", "ter:ActionNotSupported", "no such operation")
        secret, say = known[name]
        if secret and not self._may(root):
            return 400, _fault("Sender", "ter:NotAuthorized", "Sender not Authorized")
        return 200, _envelope(say())

    def _may(self, root: Element) -> bool:
        token = root.find(f".//{{{_WSSE}}}UsernameToken")
        if token is None:
            return False

        def said(space: str, name: str) -> str:
            return (token.findtext(f"{{{space}}}{name}") or "").strip()

        password: Any = token.find(f"{{{_WSSE}}}Password")
        nonce, created = said(_WSSE, "Nonce"), said(_WSU, "Created")
        if password is None or not password.get("Type", "").endswith("#PasswordDigest"):
            return False
        try:
            raw = base64.b64decode(nonce, validate=True)
            made = datetime.fromisoformat(created.replace("Z", "+00:00"))
        except ValueError:
            return False
        made = made if made.tzinfo else made.replace(tzinfo=UTC)
        if abs((made - self.now()).total_seconds()) > TOKEN_SLACK_S or nonce in self._nonces:
            return False
        self._nonces.add(nonce)
        digest = hashlib.sha1(raw + created.encode() + self.password.encode(), usedforsecurity=False)
        wanted = base64.b64encode(digest.digest()).decode()
        right = secrets.compare_digest(wanted, (password.text or "").strip())
        return right and said(_WSSE, "Username") == self.user

    def _time(self) -> str:
        now = self.now()
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
            "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
            "<tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time>"
            f"<tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month>"
            f"<tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _services(self) -> str:
        return (
            f"<tds:GetServicesResponse><tds:Service><tds:Namespace>{_DEVICE}</tds:Namespace>"
            f"<tds:XAddr>{self.url}</tds:XAddr><tds:Version><tt:Major>2</tt:Major>"
            "<tt:Minor>40</tt:Minor></tds:Version></tds:Service></tds:GetServicesResponse>"
        )

    def _information(self) -> str:
        return (
            "<tds:GetDeviceInformationResponse>"
            f"<tds:Manufacturer>{escape(self.maker)}</tds:Manufacturer>"
            f"<tds:Model>{escape(self.model)}</tds:Model>"
            f"<tds:FirmwareVersion>{escape(self.firmware)}</tds:FirmwareVersion>"
            f"<tds:SerialNumber>{escape(self.serial)}</tds:SerialNumber>"
            "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )


@dataclass(slots=True)
class _Discovery(asyncio.DatagramProtocol):
    """Answers a probe for video transmitters, once for each, as the standard asks."""

    device: OnvifDevice
    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode("utf-8", "replace")
        ident = re.search(r"MessageID[^>]*>([^<]+)<", text)
        if ident is None or "NetworkVideoTransmitter" not in text or "discovery/Probe" not in text:
            return
        scopes = (
            f"onvif://www.onvif.org/name/{quote(self.device.maker)} "
            f"onvif://www.onvif.org/hardware/{quote(self.device.model)}"
        )
        answer = (
            f'<e:Envelope xmlns:e="{_SOAP}" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
            ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
            f"<a:RelatesTo>{escape(ident[1])}</a:RelatesTo></e:Header><e:Body><d:ProbeMatches>"
            f"<d:ProbeMatch><a:EndpointReference><a:Address>{self.device.endpoint}</a:Address>"
            "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>"
            f"<d:Scopes>{scopes}</d:Scopes><d:XAddrs>{self.device.url}</d:XAddrs>"
            "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></e:Body>"
            "</e:Envelope>"
        )
        self.transport.sendto(answer.encode(), addr)


def _envelope(inside: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{_SOAP}"'
        f' xmlns:tds="{_DEVICE}" xmlns:tt="http://www.onvif.org/ver10/schema">'
        f"<e:Body>{inside}</e:Body></e:Envelope>"
    ).encode()


def _fault(code: str, subcode: str, reason: str) -> bytes:
    return _envelope(
        f"<e:Fault><e:Code><e:Value>e:{code}</e:Value><e:Subcode>"
        f'<e:Value xmlns:ter="http://www.onvif.org/ver10/error">{subcode}</e:Value></e:Subcode></e:Code>'
        f'<e:Reason><e:Text xml:lang="en">{reason}</e:Text></e:Reason></e:Fault>'
    )
