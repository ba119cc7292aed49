"""The same change for many cameras: first shown, then confirmed as it was shown, all or none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.cameras.service import FIELDS, cameras_by_id, prepared
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

#: Cameras changed at once; more come by an import.
MAX_BULK: Final = 500
#: What one camera has alone, or what is secret, is not set for many.
BULK_FIELDS: Final = tuple(
    name for name in FIELDS
    if name not in ("number", "serial", "mac", "ip", "lat", "lon", "stream_address", "stream_secret",
                    "maker", "privacy_masks")
)  # fmt: skip


class NotAsShown(Exception):
    """The cameras or the change are no longer what the preview showed."""

    def __init__(self) -> None:
        super().__init__("something changed since the preview; look at it again")


@dataclass(frozen=True)
class Shown:
    """One camera in the preview: what would change, or why it may not."""

    camera_id: str
    number: str
    version: int
    before: dict[str, Any]
    after: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Preview:
    """All of them, and the word that confirms exactly this."""

    cameras: tuple[Shown, ...]
    confirm: str

    @property
    def problems(self) -> int:
        return sum(shown.problem is not None for shown in self.cameras)

    @property
    def changes(self) -> int:
        return sum(bool(shown.after) for shown in self.cameras)


async def preview(
    session: AsyncSession, keyring: Keyring, cameras: Sequence[Camera], fields: Mapping[str, Any]
) -> Preview:
    """What would change. Raises ``Conflict`` for a field that is not set for many."""
    for name in fields:
        if name not in BULK_FIELDS:
            raise Conflict(f"set.{name}", f"is not set for many; expected {', '.join(BULK_FIELDS)}")
    shown = tuple([await _show(session, keyring, camera, fields) for camera in cameras])
    content = [[row.camera_id, row.version, row.after, row.problem] for row in shown]
    text = json.dumps(content, sort_keys=True)
    return Preview(shown, hashlib.sha256(text.encode()).hexdigest()[:32])


async def _show(
    session: AsyncSession, keyring: Keyring, camera: Camera, fields: Mapping[str, Any]
) -> Shown:
    try:
        wanted = await prepared(session, keyring, camera, fields)
    except (Conflict, NoSuch) as error:
        return Shown(camera.id, camera.number, camera.version, {}, {}, str(error))
    after = {name: value for name, value in wanted.items() if getattr(camera, name) != value}
    before = {name: getattr(camera, name) for name in after}
    return Shown(camera.id, camera.number, camera.version, editing.plain(before), editing.plain(after))


async def apply(
    session: AsyncSession,
    act: Act,
    keyring: Keyring,
    ids: Sequence[str],
    fields: Mapping[str, Any],
    confirm: str,
) -> tuple[Preview, str]:
    """Change them all, as one batch; what was shown and the batch's id.

    Raises ``NotAsShown``, ``Conflict`` (a camera has a problem), ``NoSuch``.
    """
    cameras = await cameras_by_id(session, ids)
    shown = await preview(session, keyring, cameras, fields)
    if shown.confirm != confirm:
        raise NotAsShown
    if shown.problems:
        raise Conflict("ids", f"{shown.problems} of the cameras have problems; leave them out")
    batch = replace(act, batch_id=editing.new_batch())
    for camera in cameras:
        wanted = await prepared(session, keyring, camera, fields)
        await editing.change(session, batch, camera, wanted, verb="bulk")
    return shown, str(batch.batch_id)
