"""The channels that the settings name, opened once and closed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alerts.channels.base import Channel
from alerts.channels.email import EmailChannel
from alerts.channels.vapid import ensure_vapid
from alerts.channels.webpush import WebPushChannel
from alerts.settings import AlertSettings, SettingsError
from edge.wire.clock import Clock


@asynccontextmanager
async def open_channels(
    settings: AlertSettings, *, data_dir: Path, clock: Clock
) -> AsyncIterator[dict[str, Channel]]:
    """Channel by name. Keys that do not exist yet are made in ``data_dir``.

    Raises ``SettingsError`` for a file that cannot be read.
    """
    channels: dict[str, Channel] = {}
    if settings.smtp is not None:
        channels["email"] = EmailChannel(
            settings.smtp, password=read_secret(settings.smtp.password_file)
        )
    if settings.webpush is not None:
        key_file = vapid_key_file(settings, data_dir)
        try:
            vapid = ensure_vapid(key_file, settings.webpush.subject)
        except (OSError, ValueError) as error:
            raise SettingsError(f"webpush.key_file: {error}") from None
        channels["webpush"] = WebPushChannel(settings.webpush, vapid)
    try:
        yield channels
    finally:
        for channel in channels.values():
            await channel.close()


def vapid_key_file(settings: AlertSettings, data_dir: Path) -> Path:
    """Where the key is that browsers bind their subscriptions to."""
    named = settings.webpush.key_file if settings.webpush else None
    return named or data_dir / "vapid.pem"


def read_secret(path: Path | None) -> str:
    """The secret in a file, without its line end; empty where no file is named."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingsError(f"secret file {path}: {reason}; expected a readable text file") from None
