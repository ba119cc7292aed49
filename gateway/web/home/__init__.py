"""A family's own pages: is my home safe, what happened, how am I reached, what did I ask the city.

``door`` lets a browser in by a one-time link, ``status`` is the one screen, ``history`` the past,
``reach`` contacts and channels, ``say`` what was said to the city, ``own`` all that is held on the
home, as a file. ``view`` reads what they show.
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web.home import door, history, own, reach, say, status


def routers() -> list[APIRouter]:
    """Every router of a family's pages."""
    return [door.router, status.router, history.router, reach.router, say.router, own.router]
