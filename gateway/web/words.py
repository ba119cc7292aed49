"""Words, dates and numbers of the pages, from Babel catalogues (``locale/<language>``).

A language has one catalogue for each circle of readers (``pages.po`` for what all share). They are
read as text when a process starts, so a native speaker corrects a file and restarts; there is nothing
to compile. The same key in two catalogues must say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_time, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = ("mn", "en")
DEFAULT_LANGUAGE = "mn"
#: The city lives in one zone without summer time: +08:00.
ZONE = ZoneInfo("Asia/Ulaanbaatar")
#: Fields whose closed values have their texts under another name than the field's own.
_GROUPS = {"state": "camera state", "funding_source": "funding"}
_LOCALE = Path(__file__).parent / "locale"


@dataclass(frozen=True)
class Words:
    """One language: ``words("Sites")`` is the text; dates and numbers in that language's way."""

    language: str
    catalogue: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        text = self.catalogue[key]
        return text.format(**values) if values else text

    def of(self, group: str, value: object) -> str:
        """The text of one of a closed set, ``camera state`` and ``active``; what has none is itself."""
        return self.catalogue.get(f"{group} {value}", str(value))

    def value(self, name: str, value: object) -> str:
        """What a field holds, as people say it: yes and no, closed values by their words, a dash."""
        if value is None or value == "":
            return "—"
        if isinstance(value, bool):
            return self.of("answer", "yes" if value else "no")
        if isinstance(value, list | tuple):
            return ", ".join(self.value(name, one) for one in value)
        said = (self.of(group, value) for group in (_GROUPS.get(name, name), "value"))
        return next((text for text in said if text != str(value)), str(value))

    def moment(self, time_us: int, now_us: int) -> str:
        """Local time; with the date when it is not today's."""
        local = datetime.fromtimestamp(time_us / 1e6, UTC).astimezone(ZONE)
        today = datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(ZONE).date()
        if local.date() == today:
            return format_time(local, "HH:mm:ss", locale=self.language)
        return format_datetime(local, "yyyy-MM-dd HH:mm", locale=self.language)

    def ago(self, time_us: int, now_us: int) -> str:
        """How long ago, rounded as people say it."""
        seconds = max(0, (now_us - time_us) // 1_000_000)
        if seconds < 10:
            return self("just now")
        return self("{time} ago", time=format_timedelta(seconds, locale=self.language, threshold=1.2))

    def number(self, value: float, digits: int) -> str:
        """A number with that many decimals, the language's own separator."""
        return format_decimal(
            value, format=f"#,##0{'.' if digits else ''}{'0' * digits}", locale=self.language
        )


@lru_cache(maxsize=len(LANGUAGES))
def words_for(language: str) -> Words:
    """The words of a language; Mongolian for one we do not have.

    Raises ``ValueError`` where two catalogues disagree about a key.
    """
    chosen = language if language in LANGUAGES else DEFAULT_LANGUAGE
    texts: dict[str, str] = {}
    for path in sorted((_LOCALE / chosen / "LC_MESSAGES").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=chosen):
                if not message.id:
                    continue
                key, text = str(message.id), str(message.string)
                if texts.setdefault(key, text) != text:
                    raise ValueError(f"{path.name} says {key!r} otherwise than another catalogue")
    return Words(chosen, texts)
