"""Which cameras a site watches, and what it is told of them.

A camera is watched by the site it is registered to from the decision to register it until it is
retired. One that the office knows to be faulty is watched silently: nobody is told again. The stream's
user and password go with it, to its own site alone.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.messages import CameraSettings, Config
from registry.cameras.models import Camera
from registry.cameras.service import open_stream
from registry.sealed import Keyring
from registry.sites import site_config

#: States of a camera's life in which its site watches it.
WATCHED: Final = ("registered", "active", "faulty")
#: Known to be broken: watched, nothing is told.
_SILENT: Final = ("faulty",)


async def full_config(session: AsyncSession, keyring: Keyring | None, site_id: str) -> Config:
    """All that the site is to be told, its cameras too. Raises ``NoSuch``.

    ``keyring`` None: without the cameras' passwords, for people's eyes.
    """
    config = await site_config(session, site_id)
    return msgspec.structs.replace(config, cameras=await watched_by(session, keyring, site_id))


async def watched_by(
    session: AsyncSession, keyring: Keyring | None, site_id: str
) -> list[CameraSettings]:
    """The cameras of a site, by id."""
    rows = await session.scalars(
        select(Camera)
        .where(
            Camera.site_id == site_id, Camera.state.in_(WATCHED), Camera.gone_us.is_(None),
            Camera.stream_address.is_not(None),
        )
        .order_by(Camera.id)
    )  # fmt: skip
    return [_told(camera, keyring) for camera in rows]


def _told(camera: Camera, keyring: Keyring | None) -> CameraSettings:
    return CameraSettings(
        camera=camera.id, address=camera.stream_address or "",
        secret=None if keyring is None else open_stream(keyring, camera),
        codec=camera.stream_codec, width=camera.stream_width, height=camera.stream_height,
        rate_fps=camera.stream_rate_fps, serial=camera.serial, interval_s=camera.probe_interval_s,
        maintenance=camera.state in _SILENT,
    )  # fmt: skip
