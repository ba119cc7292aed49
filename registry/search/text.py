"""Texts as search and sorting see them; pure.

``folded`` brings every spelling of a text to one: case, legacy Є and Ї for Ө and Ү, О and У typed for
them, and Latin letters that look like Cyrillic ones. It is for comparing only and is never shown.
``sort_key`` makes a text sort by the Mongolian alphabet of 35 letters under any collation, because it
is made of digits and lower-case Latin letters alone.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: The alphabet in its order; by code points Ө and Ү would come after Я.
ALPHABET: Final = "абвгдеёжзийклмноөпрстуүфхцчшщъыьэюя"
#: Legacy letters of old Mongolian fonts, and the letters they stand for.
LEGACY: Final = {"Є": "Ө", "є": "ө", "Ї": "Ү", "ї": "ү"}
#: Latin capitals and small letters that look like a Cyrillic one.
LOOK_ALIKES: Final = {
    "A": "А", "B": "В", "C": "С", "E": "Е", "H": "Н", "K": "К", "M": "М", "O": "О", "P": "Р", "T": "Т",
    "X": "Х", "Y": "У", "V": "Ү", "Θ": "Ө",
    "a": "а", "c": "с", "e": "е", "o": "о", "p": "р", "x": "х", "y": "у", "θ": "ө", "ɵ": "ө",
}  # fmt: skip
#: For comparing alone: what is typed for another letter, after case is gone.
_SAME: Final = str.maketrans(
    {
        "є": "о", "ї": "у", "ө": "о", "ү": "у", "ё": "е", "θ": "о", "ɵ": "о", "ұ": "у",
        "a": "а", "b": "в", "c": "с", "e": "е", "h": "н", "k": "к", "m": "м", "o": "о", "p": "р",
        "t": "т", "x": "х", "y": "у", "v": "у",
    }
)  # fmt: skip
_WORD: Final = re.compile(r"\w+")
#: Addresses of networks and devices, and what is typed of their beginnings.
_ADDRESS: Final = re.compile(r"\b(?:[0-9a-f]{2}(?:[:-][0-9a-f]{2}){1,5}|\d{1,3}(?:\.\d{1,3}){1,3})\b")
_JOINED: Final = re.compile(r"\w+(?:[./_-]\w+)+")
_CYRILLIC: Final = re.compile(r"[А-Яа-яЁёӨөҮүЄєЇї]")
_PARTS: Final = re.compile(r"\d+|\w|\s+")
#: Base 36: the digits of a sort key.
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Two digits for each letter, and room in the column of 500.
_MAX_KEY: Final = 490
_WORD_MAX: Final = 40


def folded(text: str) -> str:
    """The text's words in their one spelling, with single spaces."""
    return " ".join(_WORD.findall(_flat(text)))


def words_of(text: str) -> list[str]:
    """The folded words, each once, in their order; at most 40 characters of each.

    A MAC or an IP address is one word, without its punctuation; what else punctuation joins
    (``KH-1116-0007``) is found by its parts and as a whole.
    """
    lower = unicodedata.normalize("NFKC", text).casefold()
    addresses = [re.sub(r"\W", "", match) for match in _ADDRESS.findall(lower)]
    flat = _ADDRESS.sub(" ", lower).translate(_SAME)
    joined = [re.sub(r"[\W_]", "", match) for match in _JOINED.findall(flat)]
    words = [*_WORD.findall(flat), *joined, *(word.translate(_SAME) for word in addresses)]
    return list(dict.fromkeys(word[:_WORD_MAX] for word in words))


def entries_of(searchable_text: str) -> list[str]:
    """The words of a ``search_text`` that are indexed: a word's beginning is found with the word."""
    words = sorted(set(searchable_text.split()))
    longer = [*words, ""][1:]
    return [word for word, after in zip(words, longer, strict=True) if not after.startswith(word)]


def searchable(*texts: str | None) -> str:
    """What ``Searchable.search_text`` holds of a record's texts."""
    return " ".join(words_of(" ".join(text for text in texts if text)))


def sort_key(text: str) -> str:
    """Sorts as the alphabet says; a number in it sorts by its value. Punctuation does not count."""
    flat = unicodedata.normalize("NFC", text).strip().lower()
    flat = "".join(LEGACY.get(letter, letter) for letter in flat)
    return "".join(map(_key_of, _PARTS.findall(flat)))[:_MAX_KEY]


def mongolian(text: str) -> str:
    """A text to be stored: legacy letters and, inside Cyrillic words, Latin look-alikes replaced.

    A word without any Cyrillic letter is left alone: it may be English, a model or a serial number.
    """
    text = unicodedata.normalize("NFC", text)
    if text.isascii():
        return text
    return re.sub(r"\S+", lambda found: _cyrillic_word(found[0]), text)


def _cyrillic_word(word: str) -> str:
    if not _CYRILLIC.search(word):
        return word
    word = "".join(LEGACY.get(letter, letter) for letter in word)
    latin = [letter for letter in word if letter.isascii() and letter.isalpha()]
    if not latin or any(letter not in LOOK_ALIKES for letter in latin):
        return word
    return "".join(LOOK_ALIKES.get(letter, letter) for letter in word)


def _flat(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(_SAME)


def _key_of(part: str) -> str:
    if part.isspace():
        return "00"
    if part.isdecimal():
        number = str(int(part))[:35]
        return f"1{_DIGITS[len(number)]}{number}"
    if (place := ALPHABET.find(part)) >= 0:
        return f"{_DIGITS[8 + place // 36]}{_DIGITS[place % 36]}"
    if "a" <= part <= "z":
        return f"6{part}"
    return f"z{_DIGITS[ord(part) // 36 % 36]}{_DIGITS[ord(part) % 36]}"
