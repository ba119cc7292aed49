"""The MQTT interface as an AsyncAPI 3.0 document, made from the types that implement it.

Cast: ``topics`` says where, ``messages`` says what (its structs become JSON schemas), ``frames`` is
described in words because its body is binary; what native detectors and sirens say on their site's
broker is made from ``units`` and ``readings``. ``asyncapi()`` gives the document as plain data; a test
holds every topic and every encoded message against it. For people there is ``docs/mqtt.md``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from edge.wire import frames, messages, topics
from edge.wire.identity import SITE_PATTERN
from edge.wire.readings import Flag
from edge.wire.units import QUANTITIES

_REF_TEMPLATE = "#/components/schemas/{name}"


class Leaf(NamedTuple):
    """What travels on one of a site's topics. ``kind`` is None where the payload is a frame."""

    kind: type[msgspec.Struct] | None
    retained: bool
    summary: str


#: The last level of a site's topic → what it carries. Complete: a test compares it with ``topics``.
LEAVES: Final[dict[topics.SiteLeaf, Leaf]] = {
    "frame": Leaf(None, False, "A batch of readings; its key is (site, epoch, frames, seq)."),
    "event": Leaf(messages.Event, False, "One transition of an alarm, a device or the site itself."),
    "snapshot": Leaf(
        messages.Snapshot, False, "All active alarms, first on every connect; a long list in parts."
    ),
    "heartbeat": Leaf(messages.Heartbeat, False, "The site's pulse, every 30 s."),
    "status": Leaf(messages.Status, True, "Online, or offline as the last will."),
    "result": Leaf(messages.CommandResult, False, "What became of a command."),
    "ack": Leaf(messages.Ack, False, "What the city has durably stored."),
    "config": Leaf(messages.Config, True, "The site's settings; the newest version counts."),
    "command": Leaf(messages.Command, False, "An order; works once and expires."),
}


class DeviceTopic(NamedTuple):
    """A topic on a site's own broker. ``sent`` is whether the site sends there."""

    address: str
    sent: bool
    retained: bool
    summary: str


#: What native devices and the site say to each other on the site's broker.
DEVICE_TOPICS: Final[dict[str, DeviceTopic]] = {
    "DetectorReading": DeviceTopic(
        topics.detector_topic("{address}", "reading"), False, False, "One reading, or a list of them."
    ),
    "DetectorStatus": DeviceTopic(
        topics.detector_topic("{address}", "status"), False, True, "online; offline as last will."
    ),
    "DetectorCommand": DeviceTopic(
        topics.detector_topic("{address}", "command"), True, False, "What a detector is to do."
    ),
    "DetectorAnswer": DeviceTopic(
        topics.detector_topic("{address}", "answer"), False, False, "It did what it was told."
    ),
    "SirenCommand": DeviceTopic(
        topics.siren_topic("{address}", "command"), True, False, "Sound, for so long; stop; or a test."
    ),
    "CameraState": DeviceTopic(
        topics.camera_topic("{address}"), True, True, "A camera's health: separate facts."
    ),
    "SirenState": DeviceTopic(
        topics.siren_topic("{address}", "state"), False, True, "What the siren does, after each order."
    ),
}


def asyncapi() -> dict[str, Any]:
    """The document, fit for ``json.dumps``."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Utaa between a site and the city",
            "version": f"{messages.VERSION}.0.0",
            "description": (messages.__doc__ or "").strip(),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            **{leaf: _channel(leaf) for leaf in topics.SITE_LEAVES},
            **{name: _device_channel(name) for name in DEVICE_TOPICS},
        },
        "operations": {
            **{_operation_id(leaf): _operation(leaf) for leaf in topics.SITE_LEAVES},
            **{_device_operation_id(name): _device_operation(name) for name in DEVICE_TOPICS},
        },
        "components": {
            "messages": {
                **{leaf: _message(leaf) for leaf in topics.SITE_LEAVES},
                **{name: _device_message(name) for name in DEVICE_TOPICS},
            },
            "schemas": {**schemas(), **device_schemas()},
        },
    }


def schemas() -> dict[str, Any]:
    """The JSON schema of every message and of what it is made of, by the type's name."""
    kinds = [leaf.kind for leaf in LEAVES.values() if leaf.kind is not None]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF_TEMPLATE)
    return components


def device_schemas() -> dict[str, Any]:
    """The JSON schema of what devices and their site say to each other, by message name."""
    quantities = {
        quantity.name: {
            "type": ["number", "null"],
            "minimum": quantity.low,
            "maximum": quantity.high,
            "description": f"in {quantity.unit}",
        }
        for quantity in QUANTITIES
    }
    flags = {flag.name.lower(): {"type": ["boolean", "null"]} for flag in Flag if flag.name}
    about = {name: {"type": ["string", "null"]} for name in ("maker", "model", "firmware")}
    reading = {
        "type": "object",
        "properties": {
            "time": {
                "type": ["string", "number", "null"],
                "description": "RFC 3339 with a zone, or seconds since 1970; absent: on arrival",
            },
            **quantities,
            **flags,
            **about,
            "report_interval_s": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "sounder": {
                "type": ["boolean", "null"],
                "description": "It can be told to sound for the alarms of others.",
            },
        },
    }
    return {
        "DetectorReading": {
            "oneOf": [
                reading,
                {"type": "array", "minItems": 1, "items": {**reading, "required": ["time"]}},
            ]
        },
        "DetectorStatus": {"enum": ["online", "offline"]},
        "DetectorCommand": {
            "type": "object",
            "properties": {
                "v": {"const": messages.VERSION},
                "action": {"type": "string"},
                "id": {"type": "string"},
                "pattern": {"enum": ["T3", "T4"]},
                "hold_s": {"type": "number"},
            },
            "required": ["v", "action", "id"],
        },
        "DetectorAnswer": {
            "type": "object",
            "properties": {"id": {"type": "string", "description": "of the command"}},
        },
        "CameraState": {
            "type": "object",
            "properties": {
                "summary": {"enum": ["ok", "degraded", "faulty", "unknown", "maintenance"]},
                **{
                    name: {"type": ["boolean", "null"]}
                    for name in (
                        "reachable",
                        "advancing",
                        "changing",
                        "well_exposed",
                        "in_focus",
                        "in_place",
                        "as_registered",
                    )
                },
                "reason": {"type": "string", "maxLength": 500},
                "evidence": {"type": "object", "additionalProperties": {"type": "number"}},
            },
        },
        "SirenCommand": {
            "type": "object",
            "properties": {
                "v": {"const": messages.VERSION},
                "state": {"enum": ["on", "off", "test"]},
                "id": {"type": "string"},
                "pattern": {"enum": ["T3", "T4"], "description": "T3 for fire, T4 for CO alone."},
                "alarms": {"type": "array", "items": {"type": "string"}},
                "kinds": {"type": "array", "items": {"type": "string"}},
                "hold_s": {
                    "type": "number",
                    "description": "Fall silent by yourself when nothing is heard for so long.",
                },
            },
            "required": ["v", "state"],
        },
        "SirenState": {
            "type": "object",
            "properties": {
                "state": {"enum": ["on", "off", "online", "offline"]},
                "button": {
                    "type": "boolean",
                    "description": "Somebody pressed its button to have silence.",
                },
                "fault": {"type": "boolean"},
            },
            "required": ["state"],
        },
    }


def _device_channel(name: str) -> dict[str, Any]:
    return {
        "address": DEVICE_TOPICS[name].address,
        "description": f"On the site's own broker. {DEVICE_TOPICS[name].summary}",
        "parameters": {
            "address": {"description": "The device's name: one topic level.", "examples": ["kitchen"]}
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _device_operation_id(name: str) -> str:
    return f"{'send' if DEVICE_TOPICS[name].sent else 'receive'}_{name}"


def _device_operation(name: str) -> dict[str, Any]:
    what = DEVICE_TOPICS[name]
    return {
        "action": "send" if what.sent else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": what.retained, "bindingVersion": "0.2.0"}},
    }


def _device_message(name: str) -> dict[str, Any]:
    plain = name == "DetectorStatus"
    return {
        "name": name,
        "summary": DEVICE_TOPICS[name].summary,
        "contentType": "text/plain" if plain else "application/json",
        "payload": {"$ref": _REF_TEMPLATE.format(name=name)},
    }


def _channel(leaf: str) -> dict[str, Any]:
    return {
        "address": topics.site_topic("{site}", _known(leaf)),
        "description": LEAVES[_known(leaf)].summary,
        "parameters": {
            "site": {"description": f"The site's name: {SITE_PATTERN}", "examples": ["home-0042"]}
        },
        "messages": {leaf: {"$ref": f"#/components/messages/{leaf}"}},
    }


def _operation(leaf: str) -> dict[str, Any]:
    """From the site's point of view: it sends the uplink and receives the downlink."""
    return {
        "action": "send" if leaf in topics.UPLINK_LEAVES else "receive",
        "channel": {"$ref": f"#/channels/{leaf}"},
        "messages": [{"$ref": f"#/channels/{leaf}/messages/{leaf}"}],
        "bindings": {
            "mqtt": {"qos": 1, "retain": LEAVES[_known(leaf)].retained, "bindingVersion": "0.2.0"}
        },
    }


def _operation_id(leaf: str) -> str:
    return f"{'send' if leaf in topics.UPLINK_LEAVES else 'receive'}_{leaf}"


def _message(leaf: str) -> dict[str, Any]:
    what = LEAVES[_known(leaf)]
    if what.kind is None:
        return {
            "name": "Frame",
            "summary": what.summary,
            "description": (frames.__doc__ or "").strip(),
            "contentType": "application/octet-stream",
            "payload": {
                "type": "string",
                "format": "binary",
                "maxLength": frames.MAX_FRAME_BYTES,
            },
        }
    return {
        "name": what.kind.__name__,
        "summary": what.summary,
        "contentType": "application/json",
        "payload": {"$ref": _REF_TEMPLATE.format(name=what.kind.__name__)},
    }


def _known(leaf: str) -> topics.SiteLeaf:
    return next(known for known in LEAVES if known == leaf)
