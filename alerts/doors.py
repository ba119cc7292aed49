"""What the gateway's open doors need of alerts: the channels, and the secrets of those who report back.

Opened once from the settings; the gateway holds it for its routes. Shows none of its secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alerts.channels.base import Channel
from alerts.channels.opening import open_vapid, read_secret
from alerts.channels.webhook import key_of
from alerts.settings import AlertSettings, SettingsError

#: Adapters of our HTTP contract.
ADAPTERS = ("national_email", "emongolia", "voice")


@dataclass(frozen=True)
class Doors:
    """Without settings: no channel, and nobody who can report."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    #: adapter → the key that its reports are signed with
    report_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    messenger_app_secret: str = field(default="", repr=False)
    messenger_verify_token: str = field(default="", repr=False)
    public_url: str = ""
    cap_sender: str = "utaa@localhost"
    #: what a browser's ``subscribe()`` needs; empty where web push is not set up
    push_public_key: str = ""


def open_doors(
    settings: AlertSettings, channels: Mapping[str, Channel], *, data_dir: Path = Path("utaa-data")
) -> Doors:
    """Read the secrets that the settings name. Raises ``SettingsError``."""
    keys = {}
    for name in ADAPTERS:
        contract = getattr(settings, name)
        if contract is None or contract.report_secret_file is None:
            continue
        try:
            keys[name] = key_of(read_secret(contract.report_secret_file))
        except ValueError:
            expected = "expected a secret that begins with whsec_"
            raise SettingsError(f"{name}.report_secret_file: {expected}") from None
    messenger = settings.messenger
    return Doors(
        channels=dict(channels),
        report_keys=keys,
        messenger_app_secret=read_secret(messenger.app_secret_file) if messenger else "",
        messenger_verify_token=read_secret(messenger.verify_token_file) if messenger else "",
        public_url=settings.public_url,
        cap_sender=settings.cap_sender,
        push_public_key=open_vapid(settings, data_dir).public_key if settings.webpush else "",
    )
