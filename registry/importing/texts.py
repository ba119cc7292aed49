"""Problems as sentences a clerk understands, from catalogues (``locale/<language>``)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

from babel.messages.pofile import read_po

LANGUAGES: Final = ("mn", "en")


def text_of(language: str, code: str, /, **values: object) -> str:
    """The sentence for a code. Mongolian for a language we do not have."""
    return catalogue(language if language in LANGUAGES else "mn")[code].format(**values)


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> dict[str, str]:
    """Every sentence of a language by its code."""
    path = files("registry.importing") / "locale" / language / "LC_MESSAGES" / "importing.po"
    with path.open("rb") as file:
        messages = read_po(file, locale=language, abort_invalid=True)
    return {str(message.id): str(message.string) for message in messages if message.id}
