"""CAP in: harmless first, strict second. No document type, no entity, nothing is ever fetched."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from alerts.cap.model import (
    NAMESPACE,
    Alert,
    Area,
    CapError,
    Info,
    Reference,
    check_alert,
    check_value,
    time_us,
)

#: A CAP message is some kilobytes; polygons of a country may be some hundred.
MAX_CAP_BYTES = 1 << 20


def read_cap(payload: bytes) -> Alert:
    """The message. Raises ``CapError``: too_large, forbidden, not_xml, other_namespace, missing, …"""
    if len(payload) > MAX_CAP_BYTES:
        raise CapError("too_large", f"{len(payload)} bytes; at most {MAX_CAP_BYTES}")
    try:
        root = fromstring(payload, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise CapError("forbidden", f"{type(error).__name__}: a document type or entity") from None
    except (ParseError, ValueError, LookupError) as error:
        raise CapError("not_xml", str(error)) from None
    if root.tag != f"{{{NAMESPACE}}}alert":
        raise CapError("other_namespace", "expected an alert of CAP 1.2")
    return check_alert(
        Alert(
            identifier=_one(root, "identifier"),
            sender=_one(root, "sender"),
            sent_us=time_us("sent", _one(root, "sent")),
            status=_known(root, "status"),
            msg_type=_known(root, "msgType"),
            scope=_known(root, "scope"),
            restriction=_text(root, "restriction"),
            addresses=_text(root, "addresses"),
            note=_text(root, "note"),
            references=tuple(_reference(part) for part in _text(root, "references").split()),
            incidents=tuple(_text(root, "incidents").split()),
            infos=tuple(_info(element) for element in _all(root, "info")),
        )
    )


def _info(element: Element) -> Info:
    return Info(
        language=_text(element, "language") or "en-US",
        categories=_known_all(element, "category"),
        event=_one(element, "event"),
        response_types=_known_all(element, "responseType"),
        urgency=_known(element, "urgency"),
        severity=_known(element, "severity"),
        certainty=_known(element, "certainty"),
        effective_us=_time(element, "effective"),
        onset_us=_time(element, "onset"),
        expires_us=_time(element, "expires"),
        sender_name=_text(element, "senderName"),
        headline=_text(element, "headline"),
        description=_text(element, "description"),
        instruction=_text(element, "instruction"),
        areas=tuple(_area(area) for area in _all(element, "area")),
    )


def _area(element: Element) -> Area:
    return Area(
        description=_one(element, "areaDesc"),
        polygons=tuple(_content(found) for found in _all(element, "polygon")),
        circles=tuple(_content(found) for found in _all(element, "circle")),
        geocodes=tuple(
            (_one(found, "valueName"), _text(found, "value")) for found in _all(element, "geocode")
        ),
    )


def _reference(text: str) -> Reference:
    parts = text.split(",")
    if len(parts) != 3 or not all(parts):
        raise CapError("wrong_value", "references: expected sender,identifier,sent")
    return Reference(parts[0], parts[1], time_us("references", parts[2]))


def _all(parent: Element, name: str) -> list[Element]:
    return parent.findall(f"{{{NAMESPACE}}}{name}")


def _content(element: Element) -> str:
    return (element.text or "").strip()


def _text(parent: Element, name: str) -> str:
    found = _all(parent, name)
    if len(found) > 1:
        raise CapError("repeated", f"{name}: expected once")
    return _content(found[0]) if found else ""


def _one(parent: Element, name: str) -> str:
    text = _text(parent, name)
    if not text:
        raise CapError("missing", name)
    return text


def _known(parent: Element, name: str) -> str:
    return check_value(name, _one(parent, name))


def _known_all(parent: Element, name: str) -> tuple[str, ...]:
    return tuple(check_value(name, _content(found)) for found in _all(parent, name))


def _time(parent: Element, name: str) -> int | None:
    text = _text(parent, name)
    return time_us(name, text) if text else None
