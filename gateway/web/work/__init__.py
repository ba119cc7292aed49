"""The technician's pages: worklist, label reader, one detector, what waits; without signal too.

``shell`` serves one page, its service worker and the words; the page's scripts (``static/work*.js``)
show what ``/api/v1/field`` answers, keep it on the phone and send what was done there.
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web.work import shell


def routers() -> list[APIRouter]:
    """Every router of these pages."""
    return [shell.router]
