"""Pages, styles and scripts travel compressed; the API's answers and live streams stay as they are."""

from __future__ import annotations

from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import PREFIX

#: Shorter answers do not gain; and the level where more work makes a page hardly shorter.
_LEAST_BYTES: Final = 700
_LEVEL: Final = 6


class Compressed:
    """What browsers load, compressed for those that take it."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressing = GZipMiddleware(app, minimum_size=_LEAST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = scope["type"] != "http" or scope["path"].startswith(PREFIX)
        await (self._plain if api else self._compressing)(scope, receive, send)
