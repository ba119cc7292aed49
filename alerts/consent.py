"""The texts of consent, by version: what somebody who said yes had read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

#: Who agrees, where the text is shown without a name.
_SOMEBODY = "…"


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """Version → language → text, the oldest first; the last is the one shown now."""
    text = (resources.files("alerts.texts") / "consents.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def current() -> str:
    """The version that is shown now."""
    return list(texts())[-1]


def text_of(version: str, language: str, name: str = _SOMEBODY) -> str | None:
    """The text as it was shown; None for a version that is not ours (consent on the city's paper)."""
    found = texts().get(version)
    if found is None:
        return None
    return found.get(language, found["mn"]).format(name=name)
