"""Signed names in links: what a link is about, and for what purpose, so that none serves for another.

A token is ``<what>.<signature>``, signed with a key of its purpose derived from the city's ring.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from registry.sealed import Keyring

_UNSUBSCRIBE = "alerts.unsubscribe"
#: 128 bits; shorter links survive an SMS.
_SIGNATURE_BYTES = 16
#: No token of ours is longer; longer ones are not even looked at.
_MAX_CHARACTERS = 120


class LinkError(Exception):
    """The link is none of ours."""


def unsubscribe_token(keyring: Keyring, channel_id: str) -> str:
    """The name under which one click ends what can wait on a channel. It does not expire."""
    return _sealed(keyring, channel_id, _UNSUBSCRIBE)


def unsubscribe_channel(keyring: Keyring, given: str) -> str:
    """The channel that the token is about. Raises ``LinkError``."""
    return _opened(keyring, given, _UNSUBSCRIBE)


def _sealed(keyring: Keyring, about: str, purpose: str) -> str:
    digest = hashlib.sha256(keyring.fingerprint(about, purpose)).digest()[:_SIGNATURE_BYTES]
    return f"{about}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"


def _opened(keyring: Keyring, given: str, purpose: str) -> str:
    about = given.rpartition(".")[0]
    if len(given) > _MAX_CHARACTERS or not given.isascii() or not about:
        raise LinkError
    if not hmac.compare_digest(_sealed(keyring, about, purpose), given):
        raise LinkError
    return about
