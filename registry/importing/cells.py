"""How each kind of cell is read. Each reader takes what a clerk wrote, or raises ``Wrong``.

A reader gets a ``str`` (never empty), a number, a ``bool`` or a date, as the file's format has it, and
returns the value, or ``Taken`` where the clerk should be told how it was understood.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from rapidfuzz import fuzz, process

from registry.households import normal_email, normal_number
from registry.importing.fields import Taken, Wrong
from registry.search.text import folded, mongolian

Read = Callable[[Any], Any]
#: Mongolia's bounds in degrees, with a little room.
MN_LAT: Final = (41.5, 52.2)
MN_LON: Final = (87.7, 120.0)
#: Whole numbers a spreadsheet keeps exactly; longer ones lost their last digits.
_EXACT: Final = 10**15
#: How alike a misspelt word must be to be suggested, of 100.
_ALIKE: Final = 70
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SCIENTIFIC: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)")
_WITH_UNIT: Final = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*([^\d\s].*)")
_EXCEL_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
)


def plain(value: Any) -> str:
    """A cell as text: whole numbers without a point. Raises ``Wrong`` for what is no text at all."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Wrong("not_finite")
        if value.is_integer():
            value = int(value)
    if isinstance(value, int) and abs(value) >= _EXACT:
        raise Wrong("digits_lost")
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    if isinstance(value, dict | list):
        raise Wrong("not_a_text")
    written = str(value).strip()
    if written.upper() in _EXCEL_ERRORS:
        raise Wrong("excel_error")
    if written.startswith("="):
        raise Wrong("formula")
    if written[:1] == "'" and written[1:2] in tuple("=+-@"):
        written = written[1:]  # our own exports put it there, so that no program runs the cell
    if _CONTROL.search(written):
        raise Wrong("control_characters", _CONTROL.sub("", written))
    if "\ufffd" in written:
        raise Wrong("broken_letters")
    try:
        written.encode()
    except UnicodeEncodeError:
        raise Wrong("broken_letters") from None
    return written


def text(most: int) -> Read:
    """A text of at most so many characters; look-alike letters inside Mongolian words are put right."""

    def read(value: Any) -> str:
        written = mongolian(plain(value))
        if len(written) > most:
            raise Wrong("text_too_long", written[:most].rstrip(), most=most, length=len(written))
        return written

    return read


def code(pattern: str, example: str, most: int = 100) -> Read:
    """A number or code of an office: no spaces at its ends, a pattern."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        written = plain(value)
        if _SCIENTIFIC.fullmatch(written) and "E" in written.upper():
            raise Wrong("digits_lost")
        if len(written) > most:
            raise Wrong("text_too_long", written[:most], most=most, length=len(written))
        if not compiled.fullmatch(written):
            closer = re.sub(r"\s+", "", written)
            raise Wrong("not_a_code", closer if compiled.fullmatch(closer) else None, example=example)
        return written

    return read


def serial(value: Any) -> str:
    """A serial number as the maker writes it; one that a spreadsheet rounded is refused."""
    written = plain(value)
    if re.fullmatch(r"[\d.,]+[eE]\+\d+", written):
        raise Wrong("digits_lost")
    if len(written) > 100:
        raise Wrong("text_too_long", None, most=100, length=len(written))
    if written.casefold() in ("-", "—", "n/a", "na", "none", "байхгүй", "үгүй", "0", "тодорхойгүй"):
        raise Wrong("placeholder", "")
    return written.upper()


def number(low: float, high: float, unit: str = "") -> Read:
    """A number inside bounds; a comma for the point, spaces between thousands."""

    def read(value: Any) -> float:
        found = _float(value)
        if not low <= found <= high:
            raise Wrong("number_out_of_range", None, low=_short(low), high=_short(high), unit=unit)
        return found

    return read


def whole(low: int, high: int, unit: str = "") -> Read:
    """A whole number inside bounds."""
    inner = number(low, high, unit)

    def read(value: Any) -> int:
        found = inner(value)
        if not float(found).is_integer():
            raise Wrong("not_whole", round(found))
        return int(found)

    return read


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise Wrong("not_a_number")
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise Wrong("not_finite")
        return float(value)
    if isinstance(value, datetime | date):
        raise Wrong("date_for_number")
    written = re.sub(r"(?<=\d)[\s\u00a0\u202f'](?=\d{3}(\D|$))", "", plain(value)).replace("−", "-")
    if _NUMBER.fullmatch(written):
        return float(written.replace(",", "."))
    if match := _WITH_UNIT.fullmatch(written):
        raise Wrong("number_with_unit", match[1].replace(",", "."), rest=match[2][:20])
    raise Wrong("not_a_number")


def azimuth(value: Any) -> float | Taken:
    """Degrees clockwise from north; a compass word is taken as its middle."""
    if isinstance(value, str) and (known := _COMPASS.get(folded(value))) is not None:
        return Taken(float(known), "compass_word", {"degrees": known})
    written = value.replace("°", "").strip() if isinstance(value, str) else value
    found = _float(written)
    if found == 360:
        return 0.0
    if not 0 <= found < 360:
        raise Wrong("not_an_azimuth", _short(found % 360))
    return found


_COMPASS: Final = {
    folded(word): degrees
    for degrees, words in {
        0: "хойд хойш умард north n", 45: "зүүн_хойд northeast ne", 90: "зүүн дорно east e",
        135: "зүүн_урд зүүн_өмнө southeast se", 180: "урд өмнө өмнөд south s",
        225: "баруун_урд баруун_өмнө southwest sw", 270: "баруун өрнө west w",
        315: "баруун_хойд northwest nw",
    }.items()
    for word in words.replace("_", "~").split()
    for word in {word.replace("~", " "), word.replace("~", "-"), word.replace("~", "")}
}  # fmt: skip


def yes_no(value: Any) -> bool:
    """Тийм or үгүй, in whichever way it was written."""
    if isinstance(value, bool):
        return value
    word = folded(plain(value)) or plain(value)
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Wrong("not_yes_no")


_YES: Final = {folded(word) or word for word in ("тийм", "бий", "байна", "байгаа", "бай", "yes", "y",
               "true", "да", "1", "+", "✓", "x", "v")}  # fmt: skip
_NO: Final = {folded(word) or word for word in ("үгүй", "байхгүй", "no", "n", "false", "нет", "0", "-")}


def choice(words: Mapping[str, Iterable[str]]) -> Read:
    """One of a closed set: value → what people write for it. A misspelt one gets a suggestion."""
    known = {folded(name): value for value, names in words.items() for name in (value, *names)}
    shown = ", ".join(next(iter(names), value) for value, names in words.items())

    def read(value: Any) -> str:
        written = folded(plain(value))
        if (found := known.get(written)) is not None:
            return found
        near = process.extractOne(written, known.keys(), scorer=fuzz.ratio, score_cutoff=_ALIKE)
        raise Wrong("not_a_choice", known[near[0]] if near else None, choices=shown)

    return read


def several(read_one: Read, most: int) -> Read:
    """Several values in one cell, separated by commas or semicolons."""

    def read(value: Any) -> list[Any]:
        if isinstance(value, list):
            parts = [str(part) for part in value]
        else:
            parts = re.split(r"[,;/\s]+", plain(value))
        found = [read_one(part) for part in parts if part]
        if len(found) > most:
            raise Wrong("too_many_values", None, most=most)
        return list(dict.fromkeys(found))

    return read


# --- network ----------------------------------------------------------------------------------------


def mac(value: Any) -> str:
    """A MAC in any spelling, as ``aa:bb:cc:dd:ee:ff``."""
    written = plain(value)
    digits = re.sub(r"[\s:.\-–]", "", written).lower()
    if re.fullmatch(r"[0-9a-f]{12}", digits):
        spelt = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
        if spelt in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"):
            raise Wrong("mac_placeholder", "")
        if int(digits[1], 16) & 1:
            raise Wrong("mac_multicast")
        return spelt
    if len(digits) != 12:
        raise Wrong("mac_length", None, length=len(digits))
    closer = digits.translate(_HEX_LOOK_ALIKES)
    good = re.fullmatch(r"[0-9a-f]{12}", closer)
    repair = ":".join(closer[at : at + 2] for at in range(0, 12, 2)) if good else None
    raise Wrong("mac_letters", repair)


#: What is typed for a hexadecimal digit: o and Cyrillic letters.
_HEX_LOOK_ALIKES: Final = str.maketrans({"o": "0", "о": "0", "l": "1", "i": "1", "а": "a", "в": "b",
                                         "с": "c", "е": "e", "z": "2"})  # fmt: skip


def ip(value: Any) -> str:
    """An IP address in its one spelling."""
    written = plain(value)
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        pass
    closer = re.sub(r"(?:https?://|rtsp://)?([0-9.,]+)(?:[:/].*)?", r"\1", written).replace(",", ".")
    closer = ".".join(part.lstrip("0") or "0" for part in closer.split("."))
    try:
        raise Wrong("not_an_ip", str(ipaddress.ip_address(closer)))
    except ipaddress.AddressValueError:
        raise Wrong("not_an_ip") from None
    except Wrong:
        raise
    except ValueError:
        raise Wrong("not_an_ip") from None


def email(value: Any) -> str:
    """An e-mail address in its one form."""
    written = plain(value)
    try:
        return normal_email(written)
    except ValueError:
        pass
    closer = re.sub(r"\s+", "", written).replace(",", ".").replace("(at)", "@")
    try:
        closer = normal_email(closer)
    except ValueError:
        raise Wrong("not_an_email") from None
    raise Wrong("not_an_email", closer)


def phone(value: Any) -> str:
    """A telephone number as ``+976…``."""
    written = plain(value)
    digits = re.sub(r"\D", "", written)
    if not re.fullmatch(r"[\d\s()+./-]+", written) or len(digits) < 6:
        raise Wrong("not_a_phone")
    try:
        found = normal_number(written)
    except ValueError:
        raise Wrong("not_a_phone") from None
    if found.startswith("+976") and len(found) != len("+976") + 8:
        raise Wrong("phone_length", None, length=len(found) - 4)
    return found


# --- dates ------------------------------------------------------------------------------------------

_EXCEL_EPOCH: Final = date(1899, 12, 30)
#: Serial days that a spreadsheet means by 1990 … 2100.
_EXCEL_DAYS: Final = (32874, 73415)
_YMD: Final = re.compile(r"(\d{4})\s*(?:[-./]|он(?:ы)?)\s*(\d{1,2})\s*(?:[-./]|сар(?:ын)?)\s*(\d{1,2})"
                         r"(?:-?н?[ыий]?|\s*өдөр|\.)?(?:[T ].*)?")  # fmt: skip
_DMY: Final = re.compile(r"(\d{1,2})[-./](\d{1,2})[-./](\d{4})")
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_YEAR: Final = (1990, 2100)


def day(value: Any) -> date | Taken:
    """A date: 2024-05-01, 2024.5.1, 2024 оны 5 сарын 1, 01.05.2024, or a spreadsheet's own."""
    if isinstance(value, datetime):
        return _in_years(value.date())
    if isinstance(value, date):
        return _in_years(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if _EXCEL_DAYS[0] <= value <= _EXCEL_DAYS[1]:
            found = _EXCEL_EPOCH + timedelta(days=int(value))
            return Taken(found, "date_serial", {"date": found.isoformat()})
        value = plain(value)
    written = plain(value)
    if match := _YMD.fullmatch(written) or _COMPACT.fullmatch(written):
        return _date(int(match[1]), int(match[2]), int(match[3]))
    if match := _DMY.fullmatch(written):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        if first > 12 >= second or first == second:
            return _date(year, second, first)
        if second > 12 >= first:
            return _date(year, first, second)
        raise Wrong("date_ambiguous", f"{year:04}-{second:02}-{first:02}")
    raise Wrong("not_a_date")


def _date(year: int, month: int, day_: int) -> date:
    try:
        return _in_years(date(year, month, day_))
    except Wrong:
        raise
    except ValueError:
        raise Wrong("no_such_day") from None


def _in_years(found: date) -> date:
    if not _YEAR[0] <= found.year <= _YEAR[1]:
        raise Wrong("year_out_of_range", None, low=_YEAR[0], high=_YEAR[1])
    return found


def day_us(value: Any) -> int | Taken:
    """A date as µs UTC of its midnight in Mongolia (+08:00)."""
    found = day(value)
    inner = found.value if isinstance(found, Taken) else found
    at = datetime(inner.year, inner.month, inner.day, tzinfo=UTC) - timedelta(hours=8)
    us = int(at.timestamp()) * 1_000_000
    return Taken(us, found.code, found.values) if isinstance(found, Taken) else us


# --- places -----------------------------------------------------------------------------------------

_DMS: Final = re.compile(
    r"([NSEWХӨБЗУДСВЮ])?\s*(\d{1,3})\s*[°º˚*\s]\s*(\d{1,2}(?:[.,]\d+)?)\s*(?:['′’‘`]|\s|$)\s*"
    r"(?:(\d{1,2}(?:[.,]\d+)?)\s*(?:[\"″”“]|''|′′|$)?)?\s*([NSEWХӨБЗУДСВЮ])?",
    re.IGNORECASE,
)
_DEGREES: Final = re.compile(r"([+-]?\d{1,3}(?:[.,]\d+)?)\s*[°º]?\s*([NSEW])?", re.IGNORECASE)


def degrees(value: Any) -> float | Taken:
    """Degrees: decimal, with a comma, or degrees, minutes and seconds."""
    if not isinstance(value, str):
        return _float(value)
    written = plain(value)
    if match := _DEGREES.fullmatch(written):
        sign = -1 if (match[2] or "").upper() in ("S", "W") else 1
        return sign * float(match[1].replace(",", "."))
    match = _DMS.fullmatch(written)
    if match is None:
        raise Wrong("not_degrees")
    minutes, seconds = (float((part or "0").replace(",", ".")) for part in (match[3], match[4]))
    if minutes >= 60 or seconds >= 60:
        raise Wrong("minutes_out_of_range")
    letter = (match[1] or match[5] or "").upper()
    found = round(int(match[2]) + minutes / 60 + seconds / 3600, 7)
    found = -found if letter in ("S", "W") else found
    return Taken(found, "dms_read", {"degrees": _short(found)})


def latitude(value: Any) -> float | Taken:
    """A latitude; whether it lies in Mongolia is asked of the pair (``parse``)."""
    return _bounded(degrees(value), 180.0)


def longitude(value: Any) -> float | Taken:
    return _bounded(degrees(value), 180.0)


def _bounded(found: float | Taken, most: float) -> float | Taken:
    if abs(found.value if isinstance(found, Taken) else found) > most:
        raise Wrong("not_degrees")
    return found


def _short(value: float) -> str:
    return f"{value:.7f}".rstrip("0").rstrip(".")
