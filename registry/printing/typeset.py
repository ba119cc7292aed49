"""A template and data in, a PDF (or its pages as PNG) out. Blocking: call it in a thread."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final, Literal

import segno
import typst

#: PDF/A-2u: kept readable for decades, and its text can be searched and copied.
_STANDARD: Final = "a-2u"
#: Dots per inch of a preview.
_PREVIEW_PPI: Final = 110.0
Template = Literal["specification", "labels", "splice_plan", "report"]


def pdf(template: Template, data: dict[str, Any], *, at_us: int) -> bytes:
    """The document. The same data and time give the same bytes."""
    made = typst.compile(
        _source(template),
        format="pdf",
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        pdf_standards=_STANDARD,
        timestamp=datetime.fromtimestamp(at_us // 1_000_000, UTC),
        ignore_system_fonts=True,
    )
    return bytes(made)


def pages(template: Template, data: dict[str, Any]) -> list[bytes]:
    """The same as pictures (PNG), one a page."""
    made = typst.compile(
        _source(template),
        format="png",
        ppi=_PREVIEW_PPI,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        ignore_system_fonts=True,
    )
    return list(made) if isinstance(made, list) else [bytes(made or b"")]


def qr_svg(text: str) -> str:
    """A QR code without its quiet zone (the template leaves one), error correction M."""
    made = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        made, kind="svg", border=0, xmldecl=False, svgns=True, omitsize=True
    )
    return made.getvalue().decode()


def _source(template: Template) -> bytes:
    return (resources.files("registry.printing") / f"{template}.typ").read_bytes()
