"""A good input made bad: bits, cuts, repeats, odd numbers and odd texts, also inside a ZIP's parts."""

from __future__ import annotations

import io
import random
import zipfile

#: What has broken readers before: limits of numbers, markup, nothing at all.
ODD = (
    b"", b"\x00", b"\xff" * 8, b"\xff\xfe", b"\xef\xbb\xbf", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
    b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"9" * 40, b"null", b"true", b"[]", b"{}", b'""',
    b"\xed\xa0\x80", "\u202e".encode(), b"<a/>", b"<![CDATA[", b"&x;", b"]]>", b"<!DOCTYPE a>",
    b"../../etc/passwd", b"=1+1", b"\r\n\r\n", b"[" * 2000, b'{"a":' * 300, b";" * 300, b"'", b'"',
    b"2026-13-45T99:99:99Z", b"%s%n", b"\x00\x00\x00\x00", b"1e308",
)  # fmt: skip
#: A mutated input is at most this long: repeats of repeats end.
MAX_BYTES = 1 << 18


def mutated(sample: bytes, chance: random.Random) -> bytes:
    """One to four changes."""
    if sample.startswith(b"PK\x03\x04") and chance.random() < 0.9:
        return _repacked(sample, chance)
    made = bytearray(sample)
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change(made, chance)
    return bytes(made[:MAX_BYTES])


def _change(made: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(made) + 1)
    end = min(len(made), at + chance.choice((1, 2, 4, 8, 64)))
    match chance.randrange(8):
        case 0 if made:
            made[min(at, len(made) - 1)] ^= 1 << chance.randrange(8)
        case 1 if made:
            made[min(at, len(made) - 1)] = chance.randrange(256)
        case 2:
            del made[at:]
        case 3:
            del made[at:end]
        case 4:
            made[at:at] = made[at:end] * chance.choice((1, 2, 50))
        case 5:
            made[at:end] = chance.choice(ODD)
        case 6:
            made[at:at] = chance.choice(ODD)
        case _:
            _replace_a_word(made, chance)


def _replace_a_word(made: bytearray, chance: random.Random) -> None:
    """A whole number or name makes way: what stands around it stays well formed."""
    if not made:
        return
    at = chance.randrange(len(made))
    start = end = at
    while start > 0 and chr(made[start - 1]).isalnum():
        start -= 1
    while end < len(made) and chr(made[end]).isalnum():
        end += 1
    made[start:end] = chance.choice(ODD)


def _repacked(sample: bytes, chance: random.Random) -> bytes:
    """The same ZIP with one part changed, left out or said twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sample)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen, fate = chance.choice(names), chance.randrange(12)
        for name in names:
            content = old.read(name)
            if name == chosen and fate == 0:
                continue
            if name == chosen:
                content = mutated(content, chance)
            new.writestr(name, content)
    return out.getvalue()
