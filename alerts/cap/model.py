"""A CAP message and the rules that hold for it, in and out (OASIS CAP 1.2, chapter 3)."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from alerts.policy import ULAANBAATAR
from edge.wire.clock import datetime_from_us, us_from_datetime

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"

#: The closed sets of the standard.
VALUES: dict[str, tuple[str, ...]] = {
    "status": ("Actual", "Exercise", "System", "Test", "Draft"),
    "msgType": ("Alert", "Update", "Cancel", "Ack", "Error"),
    "scope": ("Public", "Restricted", "Private"),
    "category": (
        "Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra",
        "CBRNE", "Other",
    ),
    "responseType": (
        "Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None",
    ),
    "urgency": ("Immediate", "Expected", "Future", "Past", "Unknown"),
    "severity": ("Extreme", "Severe", "Moderate", "Minor", "Unknown"),
    "certainty": ("Observed", "Likely", "Possible", "Unlikely", "Unknown"),
}  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
#: Identifiers and senders are parts of references: no space, comma, "<" or "&" (3.2.1).
_NAME = re.compile(r"[^\s,<&]+")
_NEEDS_REFERENCES = ("Update", "Cancel", "Ack", "Error")


class CapError(ValueError):
    """The message is no good CAP 1.2: a ``reason`` and a text that says where and what was expected."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """Where. A circle is ``lat,lon radius_km``, a polygon at least four ``lat,lon`` pairs, closed."""

    description: str
    polygons: tuple[str, ...] = ()
    circles: tuple[str, ...] = ()
    geocodes: tuple[tuple[str, str], ...] = ()


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What, in one language."""

    event: str
    categories: tuple[str, ...]
    urgency: str
    severity: str
    certainty: str
    language: str = "en-US"
    response_types: tuple[str, ...] = ()
    effective_us: int | None = None
    onset_us: int | None = None
    expires_us: int | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    areas: tuple[Area, ...] = ()


class Reference(msgspec.Struct, frozen=True):
    """Another message: its sender, identifier and time."""

    sender: str
    identifier: str
    sent_us: int


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A CAP message."""

    identifier: str
    sender: str
    sent_us: int
    status: str = "Actual"
    msg_type: str = "Alert"
    scope: str = "Public"
    restriction: str = ""
    addresses: str = ""
    note: str = ""
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()

    @property
    def reference(self) -> Reference:
        """How a later message refers to this one."""
        return Reference(self.sender, self.identifier, self.sent_us)


def check_value(element: str, value: str) -> str:
    """The value, if the standard knows it. Raises ``CapError``."""
    if value not in VALUES[element]:
        raise CapError("wrong_value", f"{element} is {value!r}; expected {', '.join(VALUES[element])}")
    return value


def check_alert(alert: Alert) -> Alert:
    """The rules beyond the shape. Raises ``CapError``."""
    for element, value in (("identifier", alert.identifier), ("sender", alert.sender)):
        if not _NAME.fullmatch(value):
            raise CapError("wrong_value", f"{element}: expected no space, comma, '<' or '&'")
    if alert.msg_type in _NEEDS_REFERENCES and not alert.references:
        raise CapError("missing", f"references: {alert.msg_type} refers to the messages before it")
    if alert.scope == "Restricted" and not alert.restriction:
        raise CapError("missing", "restriction: scope Restricted says to whom")
    if alert.scope == "Private" and not alert.addresses:
        raise CapError("missing", "addresses: scope Private says to whom")
    if alert.msg_type == "Alert" and not alert.infos:
        raise CapError("missing", "info: an Alert says what")
    for info in alert.infos:
        if not info.event or not info.categories:
            raise CapError("missing", "info: expected event and category")
    return alert


def time_text(time_us: int) -> str:
    """``2026-01-31T03:12:00+08:00``: a numeric offset, no fraction, no Z."""
    return datetime_from_us(time_us).astimezone(ULAANBAATAR).isoformat(timespec="seconds")


def time_us(element: str, text: str) -> int:
    """µs since 1970 of a CAP time. Raises ``CapError``."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return us_from_datetime(datetime.fromisoformat(text))
    except ValueError:
        raise CapError("wrong_value", f"{element}: expected 2026-01-31T03:12:00+08:00") from None
