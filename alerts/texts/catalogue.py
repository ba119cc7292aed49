"""Catalogues: gettext files with speaking keys, read once and checked on reading."""

from __future__ import annotations

import string
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from babel.messages.pofile import read_po

LANGUAGES = ("mn", "en")
#: A person with another language gets this one.
_FALLBACK = "mn"


class Catalogue:
    """The texts of one language by key."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = dict(texts)

    def keys(self) -> set[str]:
        return set(self._texts)

    def raw(self, key: str) -> str:
        """The text as the translator wrote it."""
        return self._texts[key]

    def text(self, key: str, **values: Any) -> str:
        """The text with its names filled in. A name without a value is a ``KeyError`` (our bug)."""
        return self._texts[key].format(**values)


def names_in(text: str) -> set[str]:
    """The names in braces of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


class Catalogues:
    """All languages."""

    def __init__(self, by_language: Mapping[str, Catalogue]) -> None:
        self._by_language = dict(by_language)

    def get(self, language: str) -> Catalogue:
        """The language's catalogue, or the Mongolian one."""
        return self._by_language.get(language, self._by_language[_FALLBACK])


def load_catalogues() -> Catalogues:
    """Read every language's file. ``ValueError`` for a text that is missing or has wrong names."""
    loaded = {language: _load(language) for language in LANGUAGES}
    reference = loaded[_FALLBACK]
    for catalogue in loaded.values():
        differing = catalogue.keys() ^ reference.keys()
        if differing:
            raise ValueError(
                f"catalogue {catalogue.language!r} and {_FALLBACK!r} differ in {sorted(differing)}"
            )
        for key in sorted(catalogue.keys()):
            if names_in(catalogue.raw(key)) != names_in(reference.raw(key)):
                raise ValueError(f"catalogue {catalogue.language!r}, {key!r}: other names in braces")
    return Catalogues(loaded)


def _load(language: str) -> Catalogue:
    path = files("alerts.texts") / "locale" / language / "LC_MESSAGES" / "utaa.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    texts: dict[str, str] = {}
    for message in catalogue:
        if not message.id:
            continue
        key, text = str(message.id), str(message.string)
        if not text or message.fuzzy:
            raise ValueError(f"catalogue {language!r}: {key!r} has no text, or is marked fuzzy")
        texts[key] = text
    return Catalogue(language, texts)
