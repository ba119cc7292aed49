"""VAPID (RFC 8292): how our server identifies itself to a push service.

The key pair is made on the first start and kept: browsers bind each subscription to its public half,
so a lost key makes every subscription worthless.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

#: A token's life. RFC 8292 allows at most 24 h; half of it leaves room for a wrong clock.
_TOKEN_LIFE_S = 12 * 3600
#: A token is renewed when less than this is left of it.
_RENEW_BEFORE_S = 3600
#: Tokens kept, one per push service; there are a handful in the world.
_MAX_TOKENS = 64


def b64url(raw: bytes) -> str:
    """Base 64 for URLs without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """The bytes; padding may be there or not. Raises ``ValueError``."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class Vapid:
    """Our key and the signed tokens per push service.

    Tokens are dated by the machine's own clock, never by a scaled one: a push service judges them.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str) -> None:
        self._key = key
        self._subject = subject
        self._tokens: dict[str, tuple[float, str]] = {}

    @property
    def public_key(self) -> str:
        """What a browser's ``subscribe()`` takes as ``applicationServerKey``."""
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return b64url(point)

    def authorization(self, origin: str) -> str:
        """The ``Authorization`` header for a push service (``https://host[:port]``)."""
        now_s = time.time()
        kept = self._tokens.get(origin)
        if kept is None or kept[0] - now_s < _RENEW_BEFORE_S:
            if len(self._tokens) >= _MAX_TOKENS:
                self._tokens.clear()
            expires_s = now_s + _TOKEN_LIFE_S
            kept = self._tokens[origin] = (expires_s, self._token(origin, int(expires_s)))
        return f"vapid t={kept[1]}, k={self.public_key}"

    def _token(self, origin: str, expires_s: int) -> str:
        head = {"typ": "JWT", "alg": "ES256"}
        claims = {"aud": origin, "exp": expires_s, "sub": self._subject}
        signed = ".".join(b64url(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def ensure_vapid(path: Path, subject: str) -> Vapid:
    """The key in the file; a new one, readable by its owner alone, if there is none.

    Raises ``ValueError`` for a file that holds no P-256 key, ``OSError`` if it cannot be read.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise ValueError(f"{path}: expected a private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError(f"{path}: expected a P-256 key")
    return Vapid(key, subject)
