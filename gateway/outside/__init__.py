"""Doors for those who never sign in: providers that report back, mail programs, browsers, dispatch.

``reports`` takes what providers say later, ``unsubscribe`` is the page behind List-Unsubscribe, ``cap``
the messages for dispatch, ``push`` what a browser needs for push messages. Who knocks is known by
a signature or a signed link, and dispatch by its token.
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.outside import cap, push, reports, unsubscribe


def routers() -> list[APIRouter]:
    """Every router of these doors."""
    return [reports.router, unsubscribe.router, cap.router, push.router]
