"""InfluxDB's two languages, as far as we speak them: line protocol out, InfluxQL questions. Pure.

Names go into a question only through ``quoted`` and ``identifier``.

Measurement ``reading``, one tag ``detector``, one float field for each stated quantity, ``flags`` and
``flags_known`` as integers. Times in ns, so that a µs is kept exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import FrameColumns

MEASUREMENT = "reading"
TAG = "detector"

_TAG_SPECIAL = re.compile(r"([,= ])")
_V1_UNPARSABLE = re.compile(r"unable to parse '((?:[^'\\]|\\.|'(?!:))*)': ?([^\n]*)")


class Unwritable(ValueError):
    """A detector id that line protocol has no way to say."""


def lines_of(frame: FrameColumns) -> tuple[list[str], list[int]]:
    """The frame's rows in its order, and the rows that have no line (an id that cannot be written)."""
    heads: list[str | None] = []
    for name in frame.detectors:
        try:
            heads.append(f"{MEASUREMENT},{TAG}={tag_value(name)} ")
        except Unwritable:
            heads.append(None)
    index = frame.index.tolist()
    # one pattern for the whole frame: what is the same in every row is in it, the rest is filled in
    pattern = ["%s"]
    filled: list[Sequence[Any]] = [[heads[at] for at in index]]
    for number in sorted(frame.columns):
        name, values = QUANTITY_NAMES[number], frame.columns[number]
        if np.isnan(values).any():
            pattern.append("%s")
            filled.append([f"{name}={one!r}," if one == one else "" for one in values.tolist()])
        else:
            pattern.append(f"{name}=%r,")
            filled.append(values.tolist())
    flags = frame.flags.astype(np.int64)
    for name, bits in (("flags", flags & 0xFFFF), ("flags_known", flags >> 16)):
        if (bits == bits[0]).all():
            pattern.append(f"{name}={bits[0]}i,")
        else:
            pattern.append(f"{name}=%di,")
            filled.append(bits.tolist())
    whole = "".join(pattern)[:-1] + " %d000"
    rows = zip(*filled, frame.times.tolist(), strict=True)
    if None not in heads:
        return [whole % row for row in rows], []
    lines = [whole % row for row in rows if row[0] is not None]
    return lines, [row for row, at in enumerate(index) if heads[at] is None]


def tag_value(text: str) -> str:
    """Escaped for line protocol. A backslash cannot be: before a separator it would swallow it."""
    if "\\" in text or "\n" in text or not text:
        raise Unwritable(text)
    return _TAG_SPECIAL.sub(r"\\\1", text)


def quoted(text: str) -> str:
    """A string literal of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def identifier(text: str) -> str:
    """An identifier of InfluxQL, such as a database."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def where(detector: str | None, from_us: int, to_us: int) -> str:
    """The condition on detector and span (``from_us`` included, ``to_us`` not)."""
    span = f"time >= {from_us}u AND time < {to_us}u"
    return span if detector is None else f'"{TAG}" = {quoted(detector)} AND {span}'


def rows_query(detector: str, from_us: int, to_us: int, limit: int) -> str:
    """Every field of the detector's rows, oldest first."""
    fields = ", ".join(f'"{name}"' for name in ("flags", "flags_known", *QUANTITY_NAMES))
    return (
        f'SELECT {fields} FROM "{MEASUREMENT}" WHERE {where(detector, from_us, to_us)}'  # noqa: S608
        f" ORDER BY time ASC LIMIT {limit}"
    )


def newest_query(from_us: int, limit: int, offset: int) -> str:
    """The newest row of each of ``limit`` detectors, none older than ``from_us``."""
    fields = ", ".join(f'"{name}"' for name in ("flags", "flags_known", *QUANTITY_NAMES))
    return (
        f'SELECT {fields} FROM "{MEASUREMENT}" WHERE time >= {from_us}u GROUP BY "{TAG}"'  # noqa: S608
        f" ORDER BY time DESC LIMIT 1 SLIMIT {limit} SOFFSET {offset}"
    )


def steps_query(
    detector: str, quantity: str, from_us: int, to_us: int, step_us: int, limit: int
) -> str:
    """Minimum, mean, maximum and count by steps that have a value."""
    shown = ", ".join(f'{word}("{quantity}") AS "{word}"' for word in ("min", "mean", "max", "count"))
    return (
        f'SELECT {shown} FROM "{MEASUREMENT}" WHERE {where(detector, from_us, to_us)}'  # noqa: S608
        f" GROUP BY time({step_us}u) fill(none) LIMIT {limit}"
    )


def count_query(detector: str | None, from_us: int, to_us: int) -> str:
    """How many rows there are; every row has flags."""
    condition = where(detector, from_us, to_us)
    return f'SELECT count("flags") FROM "{MEASUREMENT}" WHERE {condition}'  # noqa: S608


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a 4xx answer to a write says. ``bad``: line → why, for the lines it names.

    ``others_stored``: the lines it does not name are stored.
    """

    message: str
    bad: dict[str, str]
    others_stored: bool


def parse_refusal(body: str, lines: Sequence[str]) -> Refusal:
    """The answer of any InfluxDB to a write that it did not take whole.

    1.x and 2.x quote unparsable lines; 3 gives their numbers. A limit or a field's type is named
    without its lines: then ``bad`` is empty and the caller has to find them.
    """
    try:
        answer: Any = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    message = str(answer.get("error") or answer.get("message") or body)[:2000]
    known = set(lines)
    bad = {
        text: f"unable to parse: {why}"
        for text, why in _V1_UNPARSABLE.findall(message)
        if text in known
    }
    details = answer.get("data")
    for detail in details if isinstance(details, list) else []:
        number = detail.get("line_number") if isinstance(detail, dict) else None
        if isinstance(number, int) and 0 < number <= len(lines):
            bad[lines[number - 1]] = str(detail.get("error_message", ""))[:300]
    partial = message.startswith("partial write")
    dropped = re.search(r"dropped=(\d+)", message)
    silent_loss = dropped is not None and int(dropped[1]) > 0
    return Refusal(message, bad, others_stored=partial and bool(bad) and not silent_loss)
