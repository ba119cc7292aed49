"""How far each column of the city's tables may travel: ``registry/data/classes.toml``, read once.

The file is complete: a test holds it against the tables, so a new column has no place until somebody
has said what it is. Exports let ``open`` and ``internal`` leave, the copy of the audit masks what is
``personal`` or ``secret``, and retention has a rule for every table with something personal.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, get_args

Class = Literal["open", "internal", "personal", "secret"]
CLASSES: Final[tuple[Class, ...]] = get_args(Class)
#: What an ordinary export may hold.
_LEAVE: Final = frozenset({"open", "internal"})
#: What the audit calls some tables.
_TABLES: Final = {"model": "detector_model", "channel": "contact_channel", "request": "city_request"}
MASK: Final = "(sealed)"


class Unclassified(KeyError):
    """A column nobody has said anything about: a program's own mistake."""


@cache
def classes() -> Mapping[str, Mapping[str, Class]]:
    """Table → column → class. Raises ``ValueError`` for a file that contradicts itself."""
    text = (resources.files("registry") / "data" / "classes.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Class]] = {}
    for table, by_class in tomllib.loads(text).items():
        columns = found.setdefault(table, {})
        for name, listed in by_class.items():
            if name not in CLASSES:
                raise ValueError(f"classes.toml [{table}]: {name!r} is no class")
            for column in listed:
                if columns.setdefault(column, name) != name:
                    raise ValueError(f"classes.toml [{table}]: {column} has two classes")
    return found


def class_of(table: str, column: str) -> Class:
    """Raises ``Unclassified``."""
    try:
        return classes()[table][column]
    except KeyError:
        raise Unclassified(f"{table}.{column}") from None


def may_leave(table: str, column: str) -> bool:
    """Whether an ordinary export may hold it. Raises ``Unclassified``."""
    return class_of(table, column) in _LEAVE


def holding(wanted: Class) -> frozenset[str]:
    """The tables with a column of this class."""
    return frozenset(table for table, columns in classes().items() if wanted in columns.values())


def veiled(kind: str, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Values of a record (``kind`` as the audit calls it) fit to leave the city's machines."""
    if values is None:
        return None
    known = classes().get(_TABLES.get(kind, kind), {})
    return {
        name: value if known.get(name, "internal") in _LEAVE or value is None else MASK
        for name, value in values.items()
    }
