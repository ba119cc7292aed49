"""Sheets of labels as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from registry.codes import grouped
from registry.labels.papers import PAPERS
from registry.labels.service import Labelled
from registry.printing.typeset import pdf, qr_svg

_KINDS: Final = {"camera": "Хяналтын камер", "detector": "Утаа, угаарын мэдрэгч"}
_TITLE: Final = "QR шошго"


def sheet_data(
    labels: Sequence[Labelled], *, paper: str, base_url: str, owner: str, skip: int = 0
) -> dict[str, Any]:
    """What the template needs. ``skip``: labels already taken off the first sheet.

    Raises ``ValueError`` that says which papers there are.
    """
    if paper not in PAPERS:
        raise ValueError(f"expected one of the papers {', '.join(PAPERS)}")
    if not 0 <= skip < PAPERS[paper].per_sheet:
        raise ValueError(f"skip: expected 0 to {PAPERS[paper].per_sheet - 1} labels of that paper")
    if not labels:
        raise ValueError("no labels to print")
    return {
        "title": _TITLE,
        "sheet": PAPERS[paper].layout(),
        "skip": skip,
        "labels": [
            {
                "id": grouped(one.id, 3),
                "qr": qr_svg(f"{base_url.rstrip('/')}/q/{one.id}"),
                "kind": _KINDS[one.kind],
                "name": one.name,
                "owner": owner,
            }
            for one in labels
        ],
    }


def sheet(data: dict[str, Any], *, at_us: int) -> bytes:
    """The PDF. Blocking: call it in a thread."""
    return pdf("labels", data, at_us=at_us)
