"""A home's file as people take it home: a ZIP of ``data.json`` and a page that any browser shows."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from gateway.web.words import words_for

_PAGE: Final = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{made}</p>
{sections}
</body></html>
"""
#: The day on the file itself would say nothing and make two equal files differ.
_ZIP_DATE: Final = (2020, 1, 1, 0, 0, 0)


def zip_of(held: dict[str, Any], language: str) -> bytes:
    """Both forms of what is held."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("data.json", json.dumps(held, ensure_ascii=False, indent=1)),
            ("index.html", page_of(held, language)),
        ):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), text.encode())
    return out.getvalue()


def page_of(held: dict[str, Any], language: str) -> str:
    """A page without scripts, styles or addresses; every value is escaped."""
    words = words_for(language)
    sections = "\n".join(
        _section(words(f"held {name}"), rows)
        for name, rows in held.items()
        if isinstance(rows, list) and rows
    )
    return _PAGE.format(
        language=escape(words.language), title=escape(words("What the city holds about you")),
        made=escape(str(held["made"])), sections=sections,
    )  # fmt: skip


def _section(title: str, rows: list[Any]) -> str:
    plain = [row if isinstance(row, dict) else {"": row} for row in rows]
    names = list(dict.fromkeys(name for row in plain for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(_row(row.get(name) for name in names) for row in plain)
    return f'<h2>{escape(title)}</h2>\n<table border="1"><tr>{head}</tr>\n{body}</table>'


def _row(values: Iterable[Any]) -> str:
    cells = "".join(f"<td>{escape(_cell(value))}</td>" for value in values)
    return f"<tr>{cells}</tr>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
