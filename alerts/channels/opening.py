"""The channels that the settings name."""

from __future__ import annotations

from pathlib import Path

from alerts.channels.base import Channel
from alerts.channels.contract import ContractChannel
from alerts.channels.email import EmailChannel
from alerts.channels.limits import Limited
from alerts.channels.messenger import MessengerChannel
from alerts.channels.sms import SmsChannel
from alerts.channels.vapid import Vapid, ensure_vapid
from alerts.channels.webhook import AppriseChannel, WebhookChannel
from alerts.channels.webpush import WebPushChannel
from alerts.settings import AlertSettings, SettingsError

#: Where the gateway keeps its own files, unless it says otherwise.
_DATA_DIR = Path("utaa-data")


def open_channels(settings: AlertSettings, *, data_dir: Path = _DATA_DIR) -> dict[str, Channel]:
    """Channel by name; the worker that gets them closes them.

    The VAPID key is made in ``data_dir`` if there is none. Raises ``SettingsError`` for a file that
    cannot be read.
    """
    channels: dict[str, Channel] = {}
    if settings.smtp is not None:
        channels["email"] = EmailChannel(
            settings.smtp, password=read_secret(settings.smtp.password_file)
        )
    if settings.webpush is not None:
        channels["webpush"] = WebPushChannel(settings.webpush, open_vapid(settings, data_dir))
    if settings.sms is not None:
        channels["sms"] = SmsChannel(settings.sms, password=read_secret(settings.sms.password_file))
    for name in ("national_email", "emongolia", "voice"):
        contract = getattr(settings, name)
        if contract is not None:
            channels[name] = ContractChannel(name, contract, key=read_secret(contract.key_file))
    if settings.messenger is not None:
        token = read_secret(settings.messenger.token_file)
        channels["messenger"] = MessengerChannel(settings.messenger, token=token)
    if settings.webhook is not None:
        channels["webhook"] = WebhookChannel(settings.webhook)
    if settings.apprise is not None:
        channels["apprise"] = AppriseChannel(settings.apprise)
    return {
        name: Limited(channel, rate_per_s=getattr(getattr(settings, _table(name)), "rate_per_s", 0.0))
        for name, channel in channels.items()
    }


def _table(channel: str) -> str:
    """The settings' table of a channel."""
    return "smtp" if channel == "email" else channel


def open_vapid(settings: AlertSettings, data_dir: Path = _DATA_DIR) -> Vapid:
    """Our VAPID key; its ``public_key`` is what the page's ``subscribe()`` needs.

    Raises ``SettingsError`` where web push is not set up or the key cannot be read.
    """
    if settings.webpush is None:
        raise SettingsError("web push is not set up: [alerts.webpush] is missing")
    try:
        return ensure_vapid(
            settings.webpush.key_file or data_dir / "vapid.pem", settings.webpush.subject
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"webpush.key_file: {error}") from None


def read_secret(path: Path | None) -> str:
    """The secret in a file, without its line end; empty where no file is named."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingsError(f"secret file {path}: {reason}; expected a readable text file") from None
