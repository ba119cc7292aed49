"""Every door through which bytes of others come in: a good sample, its reader, and how it says no.

``read`` returns or raises one of ``refusals``; anything else is a crash.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import httpx
import openpyxl

from alerts.bounces import read_bounce
from alerts.cap import CapError, read_cap, write_cap
from alerts.cap.model import Alert, Area, Info
from edge.agent.buffered import BufferedSocket
from edge.agent.configuration import BadConfig, check
from edge.cameras.onvif import read_matches
from edge.sources import SOURCES, build_example
from edge.sources.base import RawMessage
from edge.sources.codecs import CODECS
from edge.wire import messages
from edge.wire.errors import WireError
from edge.wire.frames import decode_frame, encode_frame, frame_from_readings
from edge.wire.readings import Reading
from registry.boundaries import BoundariesRefused, read_boundaries
from registry.fibre.generated import city_of
from registry.fibre.geojson import features, ofds, read_features, read_ofds
from registry.fibre.operations import ChangesRefused, operations_of
from registry.fibre.plant import Plant
from registry.fibre.sor import SorError, read_sor
from registry.fibre.whole import read_workbook, workbook
from registry.files import FileRefused as TypeRefused
from registry.files import media_type_of
from registry.importing.bounds import FileRefused
from registry.importing.readers import read_sheet
from registry.khur.client import _read as read_khur
from registry.register_file import RegisterRefused, read_register

NOW_US: Final = 1_790_000_000_000_000


@dataclass(frozen=True)
class Door:
    """Where bytes come in."""

    name: str
    samples: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()


def _source(name: str) -> Door:
    # a source remembers; the same one hears everything, as in a house
    source = build_example(name)
    filled = (each.replace("+", "x").replace("#", "y") for each in source.filters())
    topics = (*filled, *([source.example.topic] * 5))

    def read(content: bytes) -> object:
        topic, retained = topics[len(content) % len(topics)], len(content) % 7 == 0
        return messages.encode(source.decode(RawMessage(topic, content, retained, NOW_US)))

    return Door(f"source {name}", (source.example.payload.encode(),), read, (WireError,))


def _codec(name: str) -> Door:
    vectors = json.loads((resources.files("edge.sources.codecs") / f"{name}.json").read_text("utf-8"))
    samples = tuple(bytes.fromhex(each["hex"]) for each in vectors)
    ports = (*CODECS[name].ports, *(each["port"] for each in vectors))

    def read(content: bytes) -> object:
        return CODECS[name].decode(ports[len(content) % len(ports)], content)

    return Door(f"codec {name}", samples, read, (WireError,))


def _wire() -> list[Door]:
    alarm = messages.Alarm(
        id="a1",
        kind="smoke",
        detector="d1",
        raised_us=NOW_US,
        revision=1,
        reason="r",
        peak={"co_ppm": 1.0},
    )
    key: dict[str, Any] = {"site": "s1", "epoch": "e", "seq": 1, "at_us": NOW_US}
    device = messages.DeviceFact(detector="d1", source="native", address="x")
    camera = messages.CameraFact(camera="c1", address="rtsp://x/", summary="ok")
    settings = messages.DetectorSettings(detector="d1", source="native", address="x")
    samples: dict[Any, list[Any]] = {
        messages.Event: [
            messages.Event(**key, transition="raise", alarm=alarm),
            messages.Event(**key, transition="raise", device=device),
            messages.Event(**key, transition="update", camera=camera),
            messages.Event(**key, transition="raise", note="mains_lost", note_values={"a": 1}),
        ],
        messages.Snapshot: [
            messages.Snapshot(site="s1", epoch="e", nonce="n", at_us=NOW_US, last_seq=1, active=[alarm])
        ],
        messages.Ack: [
            messages.Ack(site="s1", epoch="e", store="s", lane="events", seqs=[(1, 2)],
                         rejected=[messages.Rejected(seq=3, reason="x")])
        ],
        messages.Heartbeat: [
            messages.Heartbeat(site="s1", epoch="e", boot="b", at_us=NOW_US, uptime_s=1.0,
                               clock_synced=True, config_version=1, detectors=1, queued_events=0,
                               queued_readings=0, spool_bytes=1, counters={"a": {"b": 1}})
        ],
        messages.Status: [messages.Status(site="s1", state="online", boot="b")],
        messages.Command: [
            messages.Command(site="s1", id="i", issued_us=1, expires_us=2, action="test", target="t")
        ],
        messages.CommandResult: [messages.CommandResult(site="s1", id="i", ok=True)],
    }  # fmt: skip
    doors = [
        Door(f"message {kind.__name__.lower()}", tuple(map(messages.encode, good)),
             lambda content, kind=kind: messages.decode(content, kind), (WireError,))
        for kind, good in samples.items()
    ]  # fmt: skip
    config = messages.Config(site="s1", version=1, detectors=[settings], alarms={"deadline_s": 60},
                             outputs={}, cameras=[])  # fmt: skip
    doors.append(
        Door(
            "message config",
            (messages.encode(config),),
            lambda content: check(content, "s1"),
            (BadConfig,),
        )
    )
    readings = [Reading(detector="d1", time_us=NOW_US + n, co_ppm=float(n)) for n in range(20)]
    frame = frame_from_readings("s1", "e", 1, readings)
    frames = (encode_frame(frame), encode_frame(frame, compress=False))
    doors.append(
        Door("frame", frames, lambda content: list(decode_frame(content).readings()), (WireError,))
    )
    return doors


class _Pieces:
    """A socket whose other side says these bytes and hangs up."""

    def __init__(self, content: bytes) -> None:
        self._left = [content[: len(content) // 2], content[len(content) // 2 :], b""]

    def recv(self, _size: int) -> bytes:
        return self._left.pop(0) if self._left else b""

    def close(self) -> None: ...


def _packets(content: bytes) -> object:
    connection, heard = BufferedSocket(_Pieces(content)), []
    for _ in range(len(content) + 4):
        if connection.publication(lambda *said: heard.append(said)):
            continue
        try:
            if not connection.recv(64):
                break
        except BlockingIOError:
            break
    return heard


def _table(ending: str) -> Callable[[bytes], object]:
    return lambda content: read_sheet(content, f"a.{ending}")


def _by_file(read: Callable[[Path], object], ending: str) -> Callable[[bytes], object]:
    folder = Path(tempfile.mkdtemp(prefix="utaa-fuzz-"))

    def read_it(content: bytes) -> object:
        path = folder / f"a{ending}"
        path.write_bytes(content)
        return read(path)

    return read_it


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    for row in (("Дугаар", "Нэр", "Огноо"), ("A-1", "Өргөө", 45000.5), ("A-2", "=1+1", True)):
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


_KML: Final = (
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>A-1</name><ExtendedData>'
    '<Data name="Нэр"><value>Өргөө</value></Data></ExtendedData><Point><coordinates>106.9,47.9,0'
    "</coordinates></Point></Placemark></Document></kml>"
).encode()


def _kmz() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", _KML)
    return made.getvalue()


_POINT: Final = {"type": "Point", "coordinates": [106.9, 47.9]}
_GEOJSON: Final = json.dumps(
    {"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": _POINT, "properties": {"number": "A-1", "x": None}}]}
).encode()  # fmt: skip
_RING: Final = [[106.0, 47.0], [107.0, 47.0], [107.0, 48.0], [106.0, 47.0]]
_OUTLINE: Final = json.dumps(
    {"type": "FeatureCollection", "attribution": "us", "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [_RING]},
         "properties": {"nso_code": "011", "type": "aimag", "name_mn": "А", "name_en": "A"}}]}
).encode()  # fmt: skip
_REGISTER: Final = (
    b'[[site]]\nid = "s1"\ntitle = "A"\n\n[[household]]\nlabel = "A-1"\nsite = "s1"\nlat = 47.9\n'
    b'lon = 106.9\nunit = "111"\n'
)
_BOUNCE: Final = (
    b'From: a@b\r\nContent-Type: multipart/report; boundary="x"\r\n\r\n--x\r\n'
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Message-ID: <abc@utaa>\r\n\r\nx\r\n--x--\r\n"
)
_MATCH: Final = (
    b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
    b' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    b' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Body><d:ProbeMatches>'
    b"<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>"
    b"<d:Scopes>onvif://www.onvif.org/name/A%20B</d:Scopes><d:XAddrs>http://192.0.2.1/x</d:XAddrs>"
    b"</d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
)
_ENTITY: Final = (
    b'{"outcome":"found","valid_until":"2026-11-21T00:00:00+08:00","record":'
    b'{"register_number":"1234567","name":"x","status":"active"}}'
)
#: A publication of QoS 1, an acknowledgement and a ping's answer.
_MQTT: Final = b"\x32\x0a\x00\x03a/b\x00\x01hey\x40\x02\x00\x01\xd0\x00"


def sor(distance_m: float = 1234.0) -> bytes:
    """A SOR file of version 2 with one event, as the standard lays it out."""
    fixed = b"FxdParams\0" + struct.pack("<I2sHiiH", 0, b"mt", 13100, 0, 0, 1)
    fixed += struct.pack("<HIIIHIHIiiHhHHHH", 100, 500_000, 2, 146_800, 800, 1, 10,
                         100, 0, 0, 0, 0, 0, 0, 0, 0)  # fmt: skip
    fixed += b"ST" + struct.pack("<iiii", 0, 0, 0, 0)
    points = b"DataPts\0" + struct.pack("<IHIH", 2, 1, 2, 1000) + struct.pack("<HH", 10, 20)
    travel = round(distance_m * 1.468 / 299.792458 * 10_000)
    event = struct.pack("<HIhhi8siiiii", 1, travel, 0, 200, 0, b"1E9999LS", 0, 0, 0, 0, 0) + b"\0"
    keys = b"KeyEvents\0" + struct.pack("<H", 1) + event + struct.pack("<iiiHii", 0, 0, 0, 0, 0, 0)
    blocks = [(b"FxdParams\0", fixed), (b"DataPts\0", points), (b"KeyEvents\0", keys)]
    entries = b"".join(name + struct.pack("<HI", 200, len(body)) for name, body in blocks)
    head = b"Map\0" + struct.pack("<HIH", 200, 12 + len(entries), len(blocks) + 1) + entries
    return head + b"".join(body for _, body in blocks)


def _cap() -> bytes:
    info = Info(event="fire", categories=("Fire",), urgency="Immediate", severity="Extreme",
                certainty="Observed", areas=(Area(description="x"),))  # fmt: skip
    return write_cap(Alert(identifier="i", sender="s", sent_us=NOW_US, infos=(info,)))


def _cable_plant() -> Plant:
    return city_of(1).plant


def _files() -> list[Door]:
    plant = _cable_plant()
    refused = (FileRefused,)
    changes = (ChangesRefused,)
    return [
        Door("import xlsx", (_xlsx(),), _table("xlsx"), refused),
        Door("import csv", ("Дугаар;Нэр\nA-1;Өргөө\n".encode(), b'"a","b"\n"1\n2",3\n'),
             _table("csv"), refused),
        Door("import kml", (_KML, _kmz()), _table("kml"), refused),
        Door("import geojson", (_GEOJSON,), _table("geojson"), refused),
        Door("register toml", (_REGISTER,), _by_file(read_register, ".toml"), (RegisterRefused,)),
        Door("register csv", (b"site,household,unit,lat,lon\ns1,A-1,111,47.9,106.9\n",),
             _by_file(read_register, ".csv"), (RegisterRefused,)),
        Door("boundaries", (_OUTLINE,), _by_file(read_boundaries, ".geojson"),
             (BoundariesRefused,)),
        Door("fibre xlsx", (workbook(plant),),
             lambda content: operations_of(read_workbook(content)), changes),
        Door("fibre geojson", (json.dumps(_small(features(plant))).encode(),),
             lambda content: read_features(content, Plant()), changes),
        Door("fibre ofds", (json.dumps(ofds(plant, name="x", publisher="y")).encode(),),
             lambda content: read_ofds(content, Plant()), changes),
        Door("sor", (sor(),), read_sor, (SorError,)),
        Door("attachment", (b"%PDF-1.4", _xlsx(), b"plain"), media_type_of, (TypeRefused,)),
    ]  # fmt: skip


def _small(collection: dict[str, Any]) -> dict[str, Any]:
    by_layer = {each["properties"]["layer"]: each for each in collection["features"]}
    return {**collection, "features": list(by_layer.values())}


def _khur(content: bytes) -> object:
    return read_khur("legal_entity", "1234567", httpx.Response(200), content, NOW_US)


def _answers() -> list[Door]:
    return [
        Door("cap", (_cap(),), read_cap, (CapError,)),
        Door("bounce", (_BOUNCE,), read_bounce),
        Door("onvif", (_MATCH,), lambda content: read_matches(content, "192.0.2.1")),
        Door("mqtt packets", (_MQTT,), _packets),
        Door("khur", (_ENTITY,), _khur),
    ]  # fmt: skip


@cache
def every_door() -> tuple[Door, ...]:
    """All of them. Made once: some samples take a moment."""
    sources = [*map(_source, SOURCES), *map(_codec, CODECS)]
    return (*sources, *_wire(), *_files(), *_answers())
