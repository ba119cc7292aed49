"""CAP out: elements in the order that the standard fixes."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from alerts.cap.model import NAMESPACE, Alert, Area, Info, check_alert, check_value, time_text


def write_cap(alert: Alert) -> bytes:
    """The message as UTF-8 XML. Raises ``CapError`` for one that breaks the standard's rules."""
    check_alert(alert)
    register_namespace("", NAMESPACE)
    root = Element(f"{{{NAMESPACE}}}alert")
    _add(root, "identifier", alert.identifier)
    _add(root, "sender", alert.sender)
    _add(root, "sent", time_text(alert.sent_us))
    _add(root, "status", check_value("status", alert.status))
    _add(root, "msgType", check_value("msgType", alert.msg_type))
    _add(root, "scope", check_value("scope", alert.scope))
    _add(root, "restriction", alert.restriction)
    _add(root, "addresses", alert.addresses)
    _add(root, "note", alert.note)
    _add(
        root,
        "references",
        " ".join(f"{r.sender},{r.identifier},{time_text(r.sent_us)}" for r in alert.references),
    )
    _add(root, "incidents", " ".join(alert.incidents))
    for info in alert.infos:
        _add_info(root, info)
    indent(root)
    body: bytes = tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _add_info(root: Element, info: Info) -> None:
    element = SubElement(root, f"{{{NAMESPACE}}}info")
    _add(element, "language", info.language)
    for category in info.categories:
        _add(element, "category", check_value("category", category))
    _add(element, "event", info.event)
    for response in info.response_types:
        _add(element, "responseType", check_value("responseType", response))
    _add(element, "urgency", check_value("urgency", info.urgency))
    _add(element, "severity", check_value("severity", info.severity))
    _add(element, "certainty", check_value("certainty", info.certainty))
    times = (("effective", info.effective_us), ("onset", info.onset_us), ("expires", info.expires_us))
    for name, moment in times:
        _add(element, name, "" if moment is None else time_text(moment))
    _add(element, "senderName", info.sender_name)
    _add(element, "headline", info.headline)
    _add(element, "description", info.description)
    _add(element, "instruction", info.instruction)
    for area in info.areas:
        _add_area(element, area)


def _add_area(info: Element, area: Area) -> None:
    element = SubElement(info, f"{{{NAMESPACE}}}area")
    _add(element, "areaDesc", area.description)
    for polygon in area.polygons:
        _add(element, "polygon", polygon)
    for circle in area.circles:
        _add(element, "circle", circle)
    for name, value in area.geocodes:
        geocode = SubElement(element, f"{{{NAMESPACE}}}geocode")
        _add(geocode, "valueName", name)
        _add(geocode, "value", value)


def _add(parent: Element, name: str, text: str) -> None:
    """An element with a text XML can carry; none for an empty one."""
    if text:
        clean = "".join(c if c >= " " or c in "\t\n\r" else " " for c in text)
        SubElement(parent, f"{{{NAMESPACE}}}{name}").text = clean
