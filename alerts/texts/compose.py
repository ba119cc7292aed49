"""From the facts of one message to its words. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from alerts.policy import ULAANBAATAR
from alerts.texts.catalogue import Catalogue
from edge.wire.clock import US_PER_S, datetime_from_us

_US_PER_MIN: Final = 60 * US_PER_S
#: One SMS in Cyrillic (UCS-2).
SHORT_LIMIT = 70
#: Longer addresses are cut in the subject, which phones cut anyway.
_SUBJECT_WHERE_LIMIT = 60
_OVER = ("all_clear", "history", "drill")
#: What is said in other words to people next door and to those on duty.
_BY_ROLE = ("fire", "co")


class Trouble(msgspec.Struct, frozen=True):
    """One line of a trouble message."""

    kind: str
    place: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is about. ``where`` is the opened address: keep it out of logs and errors."""

    message: str
    hazard: str
    since_us: int
    where: str = ""
    place: str = ""
    troubles: tuple[Trouble, ...] = ()
    again: bool = False
    acknowledge_link: str = ""
    #: to whom it is said: resident, neighbour, duty or desk
    role: str = "resident"
    #: first name of who has it; empty for the duty desk
    by: str = ""
    #: when somebody took it
    answered_us: int | None = None
    #: how many lose their connection by a cut
    cameras: int = 0
    homes: int = 0
    #: the hours of planned work, as people read them
    hours: str = ""

    def __repr__(self) -> str:
        return f"Facts(message={self.message!r}, hazard={self.hazard!r})"


class Text(NamedTuple):
    """The words of one message."""

    subject: str
    body: str
    short: str


def compose(catalogue: Catalogue, facts: Facts) -> Text:
    """The words for the facts, in the catalogue's language."""
    say = catalogue.text
    kind = facts.message
    where = " ".join(facts.where.split()) or say("where.unknown")
    role = _role(facts)
    headline = say(f"{role}{kind}.headline")
    if facts.again:
        headline = say("again", headline=headline)
    what = _fill(catalogue, f"{kind}.what", facts)
    since = local_time(facts.since_us)
    parts = [
        headline,
        what,
        say("label.where", where=where),
        say("label.was" if kind in _OVER else "label.since", since=since),
        say("label.do", do=say(f"{role}{kind}.do")),
        say(f"{role}{kind}.call"),
    ]
    if facts.acknowledge_link:
        parts.append(say("label.acknowledge", link=facts.acknowledge_link))
    parts.append("-- \n" + say("footer"))
    return Text(
        subject=say("subject", headline=headline, where=_shortened(where, _SUBJECT_WHERE_LIMIT)),
        body="\n\n".join(parts) + "\n",
        short=_short(catalogue, f"{role}{kind}", where),
    )


def _role(facts: Facts) -> str:
    """The beginning of the keys: ``neighbour.``, ``duty.`` or nothing."""
    if facts.message not in _BY_ROLE or facts.role == "resident":
        return ""
    return "neighbour." if facts.role == "neighbour" else "duty."


def _fill(catalogue: Catalogue, key: str, facts: Facts) -> str:
    place = catalogue.text("place", place=facts.place) if facts.place else ""
    lines = (
        catalogue.text(
            "trouble_line",
            trouble=catalogue.text(f"kind.{trouble.kind}"),
            place=catalogue.text("place", place=trouble.place) if trouble.place else "",
        )
        for trouble in facts.troubles
    )
    return catalogue.text(
        key,
        place=place,
        troubles="\n".join(lines),
        hazard=catalogue.text(f"hazard.{facts.hazard}"),
        who=facts.by or catalogue.text("who.desk"),
        when=local_time(facts.answered_us or facts.since_us)[-5:],
        cameras=facts.cameras,
        homes=facts.homes,
        hours=facts.hours,
    )


def _short(catalogue: Catalogue, kind: str, where: str) -> str:
    """Address and action within one SMS: the address gives way, the action never."""
    room = SHORT_LIMIT - len(catalogue.text(f"{kind}.short", where=""))
    return catalogue.text(f"{kind}.short", where=_shortened(where, room))


def _shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters, ending at a word where one ends near."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    head, space, _ = kept.rpartition(" ")
    return (head if space and len(head) >= limit // 2 else kept).rstrip(" ,.") + "…"


def local_time(time_us: int) -> str:
    """``2026-01-31 03:12`` in Ulaanbaatar."""
    return _local_minute(time_us // _US_PER_MIN)


@lru_cache(maxsize=256)
def _local_minute(minute: int) -> str:
    at = datetime_from_us(minute * _US_PER_MIN)
    return at.astimezone(ULAANBAATAR).strftime("%Y-%m-%d %H:%M")
