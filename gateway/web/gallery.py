"""One page with every list of the house in every state, for those who draw and those who translate."""

from __future__ import annotations

from typing import Final

from gateway.web.listing import LISTS, STATES
from gateway.web.page import STATIC, rendered
from gateway.web.words import words_for

_STYLES: Final = ("style.css", "parts.css", "officer.css")


def gallery(language: str, now_us: int) -> str:
    """The page, complete in itself: it needs no server and no other file."""
    words = words_for(language)
    styles = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in _STYLES)
    return rendered(
        "gallery.html", words=words, lists=LISTS, states=STATES, styles=styles,
        shown_at=words.moment(now_us, now_us),
    )  # fmt: skip
