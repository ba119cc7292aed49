"""A line of an incident's story in words. What has no words of its own is a note."""

from __future__ import annotations

import re

from alerts.explain import Line
from gateway.web.words import Words

_GOOD = frozenset({"acknowledged", "all_clear", "resolved", "delivered", "seen", "accepted"})
_BAD = frozenset({"refused", "given_up", "dead", "unknown", "nobody_to_tell"})
_PERSON = re.compile(r"(contact|neighbour|duty|desk) (\d+)")


def told(words: Words, line: Line, names: dict[str, str]) -> tuple[str, str]:
    """(kind for the dot, text) of a line."""
    detail = line.detail
    kind = "ok" if line.what in _GOOD else "trouble" if line.what in _BAD else "plain"
    if line.what in ("opened", "opened_again", "alarm_joined"):
        kind = "alarm"
    parts = [words.catalogue.get(f"story {line.what}", words("Note"))]
    if line.who:
        parts.append(_who(words, line.who, names))
    if line.what == "home_answered":
        parts.append(words.of("answer", detail.get("said")))
        kind = "alarm" if detail.get("said") == "help" else "ok"
    if channel := detail.get("channel"):
        parts.append(words.of("channel", channel))
    if (to := detail.get("to")) and line.what == "assigned":
        parts.append(names.get(str(to), str(to)))
    if text := detail.get("text"):
        parts.append(str(text))
    if line.what in ("resolved", "home_judged") and (cause := detail.get("cause")):
        parts.append(words.of("cause", cause))
    if line.what in ("alarm_joined", "alarm_cleared") and (name := detail.get("kind")):
        parts.append(words.catalogue.get(str(name), str(name)))
    return kind, " · ".join(parts)


def _who(words: Words, who: str, names: dict[str, str]) -> str:
    if who in names:
        return names[who]
    if person := _PERSON.fullmatch(who):
        return f"{words.of('who', person[1])} {person[2]}"
    return words.of("who", who) if f"who {who}" in words.catalogue else ""
