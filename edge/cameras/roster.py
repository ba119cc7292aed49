"""Which cameras a site watches: what the city says, and a file that stays at the site.

The city's settings name cameras and what is registered of them, with the password where the office
entered it. The file (TOML, readable by its owner alone) has cameras that the city does not know, and
passwords that are to stay at the site:

    [default]                     # for every camera that has none of its own
    user = "watch"
    password = "…"                # or password_file = "/path"

    [[camera]]
    name = "yard"                 # or id = "…", the register's
    url = "rtsp://10.0.0.5/stream2"
    width = 640                   # also height, codec, rate_fps, bitrate_kbps, serial: compared
    heard_as = ["frigate/yard"]   # what others call it on the site's broker
    probe = true                  # false: others watch it, we only listen
    offline_hold_s = 0            # 120: not even a reboot opens an incident
    interval_s = 24
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from edge.cameras.errors import CameraError
from edge.cameras.talk import Address
from edge.wire.identity import detector_id
from edge.wire.messages import CameraSettings

#: A file of 5,000 cameras is about 1 MB.
MAX_FILE_BYTES: Final = 8 << 20
#: Between probes of a camera: more often is an attack on it, less often finds nothing.
MIN_INTERVAL_S, MAX_INTERVAL_S = 1.0, 3600.0


class Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One camera of the file."""

    name: str | None = None
    id: str | None = None
    url: str | None = None
    user: str | None = None
    password: str | None = None
    password_file: str | None = None
    references: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    rate_fps: float | None = None
    bitrate_kbps: float | None = None
    serial: str | None = None
    #: 0: do not ask it
    onvif_port: int = 80
    heard_as: list[str] = []
    probe: bool = True
    offline_hold_s: float = 0.0
    maintenance: bool = False
    #: between probes; None: as all of the site
    interval_s: float | None = None

    def __repr__(self) -> str:
        return f"Entry(name={self.name!r}, id={self.id!r})"


class Default(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Credentials of cameras that have none of their own."""

    user: str | None = None
    password: str | None = None
    password_file: str | None = None

    def __repr__(self) -> str:
        return "Default(…)"


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    default: Default = msgspec.field(default_factory=Default)
    camera: list[Entry] = []


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A camera to watch. ``url`` holds its credentials: never printed."""

    id: str
    name: str
    url: str
    entry: Entry

    def __repr__(self) -> str:
        return f"Listed(id={self.id!r}, name={self.name!r})"


def load(path: Path | None) -> tuple[Default, list[Entry]]:
    """The file. Raises ``CameraError``: one line that never repeats what is in it."""
    if path is None:
        return Default(), []
    try:
        if path.stat().st_mode & 0o077:
            raise CameraError(str(path), "others may read it, and it holds passwords: chmod 600")
        data = path.read_bytes()[: MAX_FILE_BYTES + 1]
        if len(data) > MAX_FILE_BYTES:
            raise CameraError(str(path), f"larger than {MAX_FILE_BYTES} bytes")
        whole = tomllib.loads(data.decode())
    except OSError as error:
        raise CameraError(str(path), f"{error.strerror}; expected a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CameraError(str(path), f"no TOML{_line_of(error)}") from None
    try:
        file = msgspec.convert(whole, _File)
    except msgspec.ValidationError as error:
        # msgspec names the field and what it expected, not the value
        raise CameraError(str(path), str(error)) from None
    for number, entry in enumerate(file.camera, 1):
        _check(path, number, entry)
    return file.default, file.camera


def _line_of(error: Exception) -> str:
    text = str(error)
    return text[text.index(" (at line") :] if " (at line" in text else ""


def _check(path: Path, number: int, entry: Entry) -> None:
    where = f"{path} camera {number}"
    if entry.interval_s is not None and not MIN_INTERVAL_S <= entry.interval_s <= MAX_INTERVAL_S:
        raise CameraError(where, f"interval_s: expected {MIN_INTERVAL_S} to {MAX_INTERVAL_S} seconds")
    if entry.name is None and entry.id is None:
        raise CameraError(where, "expected name or id")
    if entry.url is not None:
        try:
            address = Address.parse(entry.url)
        except ValueError as error:
            raise CameraError(where, f"url: {error}") from None
        if address.user is not None and entry.user is not None:
            raise CameraError(where, "a user both in url and by itself")


def roster(
    site: str, default: Default, entries: Iterable[Entry], told: Iterable[CameraSettings]
) -> list[Listed]:
    """Every camera to watch: the city's, with what the file adds, and the file's own."""
    by_id: dict[str, Entry] = {}
    for entry in entries:
        by_id[entry.id or detector_id(site, "camera", entry.name or "")] = entry
    for settings in told:
        by_id[settings.camera] = _joined(by_id.get(settings.camera), settings)
    return [
        Listed(id=ident, name=entry.name or ident, url=_url(entry, default), entry=entry)
        for ident, entry in by_id.items()
    ]


def _joined(own: Entry | None, told: CameraSettings) -> Entry:
    """What the city says stands over the file; folders and patience are the file's, and a password
    that it has stays.
    """
    said: dict[str, Any] = {
        name: value
        for name in ("codec", "width", "height", "rate_fps", "serial", "interval_s")
        if (value := getattr(told, name)) is not None
    }
    base = own if own is not None else Entry(id=told.camera)
    address = own.url if own is not None and own.url is not None else told.address
    maintenance = told.maintenance or base.maintenance
    if told.secret is not None and base.user is None:
        said["user"], _, said["password"] = told.secret.partition(":")
    return msgspec.structs.replace(base, **said, url=address, maintenance=maintenance)


def _url(entry: Entry, default: Default) -> str:
    """The address with its credentials."""
    if entry.url is None:
        return ""
    try:
        address = Address.parse(entry.url)
    except ValueError:
        return ""
    if address.user is not None:
        return entry.url
    owner: Entry | Default = entry if entry.user is not None else default
    if owner.user is None:
        return entry.url
    who = quote(owner.user, safe="") + ":" + quote(_password(owner), safe="")
    scheme, _, rest = entry.url.strip().partition("://")
    return f"{scheme}://{who}@{rest}"


def _password(owner: Entry | Default) -> str:
    if owner.password is not None:
        return owner.password
    if owner.password_file is None:
        return ""
    try:
        return Path(owner.password_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CameraError(owner.password_file, f"{error.strerror}; expected a password") from None
