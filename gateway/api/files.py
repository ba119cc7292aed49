"""What routes share that answer with a file or take an amount of money."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Response
from pydantic import Field

#: Whole tögrög, below what a JSON number carries exactly.
Mnt = Annotated[int, Field(ge=0, le=10**15, description="whole tögrög", examples=[125_000_000])]

#: ``responses=`` of a route that answers with a PDF.
PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "OK", "content": {"application/pdf": {}}}
}


def file_response(content: bytes, media_type: str, name: str, *, inline: bool = False) -> Response:
    """A file to save, whatever its name; one of our own making may be shown in the browser."""
    kind = "inline" if inline else "attachment"
    response = Response(content, media_type=media_type)
    response.headers["Content-Disposition"] = f"{kind}; filename*=UTF-8''{quote(name)}"
    return response
