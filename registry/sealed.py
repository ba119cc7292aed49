"""Encrypted columns: personal and secret fields are sealed before they reach a database.

A ``Sealed`` value is ``key id, nonce, AES-256-GCM ciphertext`` and opens only with the key ring and the
purpose it was sealed for (``table.column``), so a ciphertext moved to another column does not open.
Opening is always explicit: nothing decrypts by accident in a list or a log.

The key ring comes from a file (one ``id:base64 key`` a line, the first one seals) or the environment.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

_KEY_BYTES = 32
_NONCE_BYTES = 12
KEY_ID_BYTES = 4


class KeyringError(ValueError):
    """The key ring is missing, damaged or lacks a key; the text says what to do."""


@dataclass(frozen=True)
class Sealed:
    """An encrypted text. Its repr shows nothing."""

    blob: bytes

    def __repr__(self) -> str:
        return "Sealed(…)"


class Keyring:
    """The keys that seal and open; the first one seals."""

    def __init__(self, keys: dict[str, bytes], path: Path | None = None) -> None:
        """``path``: where the ring is read again when a value names a key that came after it."""
        if not keys:
            raise KeyringError("the key ring is empty; expected at least one 'id:base64 key' line")
        for key_id, key in keys.items():
            if len(key) != _KEY_BYTES or len(key_id) != KEY_ID_BYTES:
                raise KeyringError(
                    f"key {key_id!r}: expected a 4-character id and a key of 32 bytes in base64"
                )
        self._keys = keys
        self._current = next(iter(keys))
        self._path = path

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def seal(self, text: str, purpose: str) -> Sealed:
        """The text, encrypted for one purpose (``table.column``)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = AESGCM(self._keys[self._current]).encrypt(nonce, text.encode(), purpose.encode())
        return Sealed(self._current.encode() + nonce + box)

    def open(self, sealed: Sealed, purpose: str) -> str:
        """The text. Raises ``KeyringError`` when its key is gone or the value was altered."""
        key_id = sealed.blob[:KEY_ID_BYTES].decode("ascii", "replace")
        key = self._keys.get(key_id) or self._read_again(key_id)
        if key is None:
            raise KeyringError(f"no key {key_id!r} in the ring; put the old key back to read {purpose}")
        nonce = sealed.blob[KEY_ID_BYTES : KEY_ID_BYTES + _NONCE_BYTES]
        box = sealed.blob[KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, box, purpose.encode()).decode()
        except InvalidTag:
            raise KeyringError(
                f"a value of {purpose} does not open: altered, or of another ring"
            ) from None

    def _read_again(self, key_id: str) -> bytes | None:
        """The key, if it was added to the file since; then it also seals from now on."""
        if self._path is None:
            return None
        fresh = load_keyring(self._path)
        if key_id in fresh._keys and list(fresh._keys)[-1] == list(self._keys)[-1]:
            self._keys, self._current = fresh._keys, fresh._current
        return self._keys.get(key_id)

    def fingerprint(self, text: str, purpose: str) -> bytes:
        """A keyed hash (HMAC-SHA-256) to find an exact value without storing it readable.

        Keyed by the oldest key, so that it survives a rotation.
        """
        oldest = self._keys[next(reversed(self._keys))]
        return hmac.digest(oldest, f"{purpose}\0{text}".encode(), "sha256")


def load_keyring(path: Path) -> Keyring:
    """The key ring in the file. Raises ``KeyringError`` that names the file and the line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        raise KeyringError(f"no key file at {path}; make one with 'utaa registry key new'") from None
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        key_id, colon, encoded = line.strip().partition(":")
        try:
            if not colon:
                raise ValueError
            keys[key_id] = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise KeyringError(f"{path} line {number}: expected 'id:base64 key'") from None
    return Keyring(keys, path)


def ensure_keyring(path: Path) -> Keyring:
    """The key ring in the file; a new one, readable by its owner alone, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(KEY_ID_BYTES // 2)}:{key}\n")
    return load_keyring(path)


def add_key(path: Path) -> Keyring:
    """A new key at the head of the ring's file, written beside it and put in its place at once."""
    old = path.read_text(encoding="ascii")
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    beside = path.with_name(path.name + ".new")
    handle = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(KEY_ID_BYTES // 2)}:{key}\n{old}")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return load_keyring(path)


class SealedText(TypeDecorator[Sealed]):
    """The column type of a ``Sealed`` value. A readable text is refused, never stored by mistake."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError("a sealed column takes a Sealed value; seal it with the key ring first")
        return value.blob

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sealed | None:
        return None if value is None else Sealed(bytes(value))
