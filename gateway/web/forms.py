"""Forms without JavaScript: read, checked by the API's own models, and shown again as they were typed.

A field's problem is a text in the visitor's language; a form that is refused keeps every value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from gateway.door import MAX_FORM_FIELDS
from gateway.web.words import Words

Model = TypeVar("Model", bound=BaseModel)
#: pydantic's kinds of mistakes → what to say.
_SAID: Final[dict[str, str]] = {
    "missing": "This is needed.",
    "string_too_short": "This is needed.",
    "string_too_long": "This is too long: at most {limit} characters.",
    "float_parsing": "Expected a number.",
    "int_parsing": "Expected a whole number.",
    "int_from_float": "Expected a whole number.",
    "finite_number": "Expected a number.",
    "greater_than": "Expected more than {limit}.",
    "greater_than_equal": "Expected at least {limit}.",
    "less_than": "Expected less than {limit}.",
    "less_than_equal": "Expected at most {limit}.",
    "date_from_datetime_parsing": "Expected a day as 2026-11-21.",
    "date_parsing": "Expected a day as 2026-11-21.",
}
_LIMITS: Final = ("max_length", "gt", "ge", "lt", "le")


async def typed(request: Request) -> dict[str, str]:
    """What was typed, stripped; of a repeated field the last."""
    form = await request.form(max_files=1, max_fields=MAX_FORM_FIELDS)
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


def filled(
    values: Mapping[str, str], names: Iterable[str], texts: Iterable[str] = ()
) -> dict[str, Any]:
    """The named fields as a model takes them: an empty one is None, in ``texts`` an empty text.

    A decimal comma is a point where the rest is a number.
    """
    kept = frozenset(texts)
    return {name: values.get(name, "") or ("" if name in kept else None) for name in names}


def checked(
    model: type[Model], fields: Mapping[str, Any], words: Words
) -> tuple[Model | None, dict[str, str]]:
    """The model, or the problem of each field."""
    try:
        return model.model_validate(dict(fields)), {}
    except ValidationError as error:
        problems: dict[str, str] = {}
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else ""
            problems.setdefault(name, _said(dict(item), words))
        return None, problems


def _said(item: dict[str, Any], words: Words) -> str:
    context = item.get("ctx", {})
    limit = next((context[name] for name in _LIMITS if name in context), "")
    key = _SAID.get(item["type"], "This does not fit here.")
    if item.get("input") is None and item["type"].endswith("_type"):
        key = "This is needed."
    return words(key, limit=limit) if "{limit}" in key else words(key)
