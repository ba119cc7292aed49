"""Cameras as open data, in OpenStreetMap's keys.

``OpenCamera`` is the allow-list: what it has no field for cannot leave. It is built field by field from
columns named here, never from a whole record. Whose cameras stand indoors, are only planned, or are
gone is nobody's business; nor are their networks, numbers, recorders or who answers for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.models import Camera, CameraModel
from registry.exporting.writers import point

#: Rows read at a time.
_PAGE: Final = 2_000
#: Streets do not need centimetres: five digits are a metre.
_DIGITS: Final = 5
_TYPES: Final = {
    "fixed": "fixed",
    "multi": "fixed",
    "dome": "dome",
    "ptz": "panning",
    "fisheye": "dome",
}
_ZONES: Final = {
    "street": "street", "crossing": "traffic", "parking": "parking", "entrance": "entrance",
    "yard": "yard", "school": "area", "building": "building",
}  # fmt: skip
_MOUNTS: Final = {
    "pole": "pole",
    "wall": "wall",
    "ceiling": "ceiling",
    "roof": "roof",
    "gantry": "gantry",
}
LICENCE: Final = "ODbL-1.0"


@dataclass(frozen=True)
class OpenCamera:
    """Everything of a camera that is public. Keys of https://wiki.openstreetmap.org/wiki/Surveillance."""

    lat: float
    lon: float
    surveillance_zone: str | None
    camera_type: str | None
    camera_mount: str | None
    camera_direction: int | None
    height: float | None

    def tags(self) -> dict[str, str]:
        """As OpenStreetMap writes them; what is not known is left out."""
        tags = {
            "man_made": "surveillance",
            "surveillance": "public",
            "surveillance:type": "camera",
            "surveillance:zone": self.surveillance_zone,
            "camera:type": self.camera_type,
            "camera:mount": self.camera_mount,
            "camera:direction": None if self.camera_direction is None else str(self.camera_direction),
            "height": None if self.height is None else f"{self.height:g}",
        }
        return {key: value for key, value in tags.items() if value is not None}

    def feature(self) -> dict[str, Any]:
        return {"type": "Feature", "geometry": point(self.lat, self.lon), "properties": self.tags()}


PUBLIC_FIELDS: Final = tuple(one.name for one in fields(OpenCamera))


async def open_cameras(session: AsyncSession) -> AsyncIterator[OpenCamera]:
    """Public cameras in service, in no order that tells anything but their places."""
    last = ""
    while True:
        rows = (await session.execute(
            select(Camera.id, Camera.lat, Camera.lon, Camera.zone, Camera.mount, Camera.azimuth_deg,
                   Camera.height_m, CameraModel.form)
            .outerjoin(CameraModel, Camera.model_id == CameraModel.id)
            .where(Camera.id > last, Camera.gone_us.is_(None), Camera.indoor.is_(False),
                   Camera.state.in_(("active", "faulty")), Camera.lat.is_not(None),
                   Camera.lon.is_not(None))
            .order_by(Camera.id).limit(_PAGE)
        )).all()  # fmt: skip
        for own_id, lat, lon, zone, mount, azimuth, height, form in rows:
            last = own_id
            yield OpenCamera(
                lat=round(lat or 0.0, _DIGITS), lon=round(lon or 0.0, _DIGITS),
                surveillance_zone=_ZONES.get(zone or ""), camera_type=_TYPES.get(form or ""),
                camera_mount=_MOUNTS.get(mount or ""),
                camera_direction=None if azimuth is None else round(azimuth) % 360, height=height,
            )  # fmt: skip
        if len(rows) < _PAGE:
            return


async def features(session: AsyncSession) -> AsyncIterator[dict[str, Any]]:
    """The data set as features."""
    async for camera in open_cameras(session):
        yield camera.feature()
