"""A generic source proposed from a payload that nobody understands.

Pure. ``propose`` looks for names that tell (``co``, ``temperature``, ``smoke``, …) among the leaves of
a JSON payload and writes the TOML that ``edge.sources.generic`` reads; what it cannot tell it leaves
to the reader as comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edge.sources import names

#: Leaves looked at in one payload; a detector has a dozen.
MAX_LEAVES = 200
#: Levels looked into.
MAX_DEPTH = 6


def propose(topic: str, payload: bytes) -> str | None:
    """TOML for the generic source; None if the payload is no JSON object."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    told, untold = [], []
    for count, (path, value) in enumerate(_leaves(said, "", MAX_DEPTH)):
        if count >= MAX_LEAVES:
            break
        meaning = _meaning(path, value)
        if meaning:
            told.append(f"  {{ path = {_quoted(path)}, {meaning} }},")
        else:
            untold.append(f"  # {{ path = {_quoted(path)}, … }},  now {_quoted(str(value)[:40])}")
    lines = [
        "[[devices]]",
        f"topic = {_quoted(_pattern(topic))}  # the level that names the device is {{address}}",
        "fields = [",
        *told,
        *untold,
        "]",
    ]
    return "\n".join(lines)


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Scalars with their paths; keys that hold a dot have no path."""
    if isinstance(value, dict | list):
        if not depth:
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            if "." not in str(key) and str(key):
                yield from _leaves(inner, f"{path}.{key}" if path else str(key), depth - 1)
    elif value is not None:
        yield path, value


def _meaning(path: str, value: Any) -> str | None:
    name = path.rpartition(".")[2]
    flag, quantity = names.flag_of(name), names.quantity_of(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if flag is not None and flag.name and (isinstance(value, bool) or value in (0, 1)):
        return f'flag = "{flag.name.lower()}"'
    if flag is not None and flag.name and isinstance(value, str) and names.truth(value) is not None:
        return f'flag = "{flag.name.lower()}"'
    if quantity is not None and is_number:
        return f'quantity = "{quantity}"'
    return None


def _pattern(topic: str) -> str:
    """The topic with its likeliest device level marked: the last but one, or the last of two."""
    levels = topic.split("/")
    place = len(levels) - 2 if len(levels) > 2 else len(levels) - 1
    levels[place] = "{address}"
    return "/".join(levels)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)
