"""The CSRF token in a page is never the same text twice.

Pages travel compressed and may echo what their address says; an eavesdropper sees how long a compressed
answer is. Guess by guess the length would tell a secret that stands on the same page (BREACH). So the
token is veiled: a fresh random pad, and the token under it. The API's answers are not compressed and
tell the token as it is.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from registry.identity import same_secret


def veiled(token: str) -> str:
    """The token under a fresh pad, for a page."""
    raw = token.encode()
    pad = secrets.token_bytes(len(raw))
    return base64.urlsafe_b64encode(pad + _over(raw, pad)).decode()


def is_token(sent: str, token: str) -> bool:
    """Whether what a form or a script sent is the token, veiled or as the API told it."""
    return same_secret(sent, token) or same_secret(_unveiled(sent), token)


def _unveiled(sent: str) -> str:
    try:
        both = base64.b64decode(sent, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return ""
    half = len(both) // 2
    return _over(both[half:], both[:half]).decode(errors="replace") if half else ""


def _over(text: bytes, pad: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(text, pad, strict=False))
