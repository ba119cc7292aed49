"""The cameras' tables: the catalogue of makes, and the cameras themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.identity import new_id
from registry.db import Base
from registry.records import Removable, Searchable, Versioned
from registry.sealed import Sealed, SealedText

#: Recordings are kept at least so long (MNS 6423:2019), unless a waiver gives a reason.
MIN_RETENTION_H = 720
_HELD = text("gone_us IS NULL")
_CONNECTED = text("gone_us IS NULL AND retired_us IS NULL")


class CameraModel(Versioned, Searchable, Removable, Base):
    """A make of camera. ``form``: fixed, dome, ptz, fisheye, multi (several sensors in one body)."""

    __tablename__ = "camera_model"
    SEARCHED: ClassVar[tuple[str, ...]] = ("maker", "name", "form")
    SORTED: ClassVar[str] = "name"
    __table_args__ = (UniqueConstraint("maker", "name"),)
    EDITED: ClassVar[tuple[str, ...]] = (
        "maker", "name", "form", "analogue", "sensor_width_px", "sensor_height_px", "focal_min_mm",
        "focal_max_mm", "hfov_min_deg", "hfov_max_deg", "ir_range_m", "onvif_profiles", "source_note",
        "gone_us", "merged_into_id",
    )  # fmt: skip
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    maker: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(100))
    form: Mapped[str] = mapped_column(String(20), default="fixed")
    #: an analogue camera is a finding under MNS 6423:2019
    analogue: Mapped[bool] = mapped_column(Boolean, default=False)
    sensor_width_px: Mapped[int | None] = mapped_column(Integer)
    sensor_height_px: Mapped[int | None] = mapped_column(Integer)
    focal_min_mm: Mapped[float | None] = mapped_column(Float)
    focal_max_mm: Mapped[float | None] = mapped_column(Float)
    #: horizontal field of view at the longest and at the shortest focal length
    hfov_min_deg: Mapped[float | None] = mapped_column(Float)
    hfov_max_deg: Mapped[float | None] = mapped_column(Float)
    #: how far its own infrared light reaches; 0: it has none; None: not known
    ir_range_m: Mapped[float | None] = mapped_column(Float)
    #: letters of ONVIF profiles: S, G, T, M, …
    onvif_profiles: Mapped[list[str]] = mapped_column(JSON, default=list)
    source_note: Mapped[str] = mapped_column(String(300), default="")
    created_us: Mapped[int] = mapped_column(BigInteger)


class Camera(Versioned, Searchable, Removable, Base):
    """A camera. Angles in degrees: azimuth clockwise from north, tilt down from the horizon.

    ``state`` is its life (``registry.cameras.life``). ``number`` is what the office calls it.
    ``recorder`` and ``switch_port`` name equipment as its labels do. The stream's user and password
    are sealed, ``stream_address`` is without them.
    """

    __tablename__ = "camera"
    TELLS: ClassVar[str | None] = "site_id"
    SEARCHED: ClassVar[tuple[str, ...]] = (
        "number", "name", "place", "maker", "serial", "mac", "ip", "recorder", "switch_port",
    )  # fmt: skip
    SORTED: ClassVar[str] = "number"
    __table_args__ = (
        # what is gone or unplugged holds its numbers no longer
        Index("uq_camera_maker_serial", "maker", "serial", unique=True,
              sqlite_where=_HELD, postgresql_where=_HELD),
        Index("uq_camera_mac", "mac", unique=True, sqlite_where=_HELD, postgresql_where=_HELD),
        Index("uq_camera_network_ip", "network", "ip", unique=True,
              sqlite_where=_CONNECTED, postgresql_where=_CONNECTED),
        Index("ix_camera_lat_lon", "lat", "lon"),
        Index("ix_camera_unit_code_number", "unit_code", "number"),
        # in the order of the list, so that a filtered page is read off the index and nothing is sorted
        Index("ix_camera_organisation_id_sort_key", "organisation_id", "sort_key", "id"),
        Index("ix_camera_state_sort_key", "state", "sort_key", "id"),
    )  # fmt: skip
    EDITED: ClassVar[tuple[str, ...]] = (
        "number", "name", "model_id", "maker", "serial", "mac", "network", "ip", "place", "lat", "lon",
        "unit_code", "organisation_id", "indoor", "zone", "mount", "height_m", "azimuth_deg",
        "tilt_deg", "hfov_deg", "purpose", "legal_basis", "notice_sign", "privacy_masks", "retention_h",
        "retention_waiver", "recorder", "switch_port", "specification_id", "funding_source",
        "stream_address", "stream_secret", "site_id", "stream_codec", "stream_width", "stream_height",
        "stream_rate_fps", "probe_interval_s", "note", "state", "retired_us", "gone_us",
        "merged_into_id",
    )  # fmt: skip
    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(50), unique=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    model_id: Mapped[str | None] = mapped_column(ForeignKey("camera_model.id"), index=True)
    #: the model's maker, kept here because a serial number is unique to its maker
    maker: Mapped[str] = mapped_column(String(100), default="")
    serial: Mapped[str | None] = mapped_column(String(100))
    #: aa:bb:cc:dd:ee:ff
    mac: Mapped[str | None] = mapped_column(String(17))
    #: which of the city's networks the address is in; empty: the only one
    network: Mapped[str] = mapped_column(String(64), default="")
    ip: Mapped[str | None] = mapped_column(String(45))
    place: Mapped[str] = mapped_column(String(200), default="")
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    unit_code: Mapped[str | None] = mapped_column(String(20))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisation.id"))
    indoor: Mapped[bool] = mapped_column(Boolean, default=False)
    #: what it looks at: street, crossing, parking, entrance, yard, school, building, other
    zone: Mapped[str | None] = mapped_column(String(30))
    #: what it hangs on: pole, wall, ceiling, roof, gantry, other
    mount: Mapped[str | None] = mapped_column(String(30))
    height_m: Mapped[float | None] = mapped_column(Float)
    azimuth_deg: Mapped[float | None] = mapped_column(Float)
    tilt_deg: Mapped[float | None] = mapped_column(Float)
    #: as it is set; None: the model's widest
    hfov_deg: Mapped[float | None] = mapped_column(Float)
    purpose: Mapped[str] = mapped_column(String(300), default="")
    legal_basis: Mapped[str] = mapped_column(String(300), default="")
    #: a sign tells people of it; None: nobody has looked
    notice_sign: Mapped[bool | None] = mapped_column(Boolean)
    #: polygons of the picture that are blacked out: lists of [x, y], each 0…1 from the upper left
    privacy_masks: Mapped[list[Any]] = mapped_column(JSON, default=list)
    retention_h: Mapped[int | None] = mapped_column(Integer)
    #: why its recordings are kept for less than ``MIN_RETENTION_H``
    retention_waiver: Mapped[str | None] = mapped_column(String(500))
    recorder: Mapped[str] = mapped_column(String(100), default="")
    switch_port: Mapped[str] = mapped_column(String(100), default="")
    #: the technical specification it was bought and mounted under
    specification_id: Mapped[str | None] = mapped_column(String(64), index=True)
    #: one of ``registry.values.FUNDING_SOURCES``
    funding_source: Mapped[str | None] = mapped_column(String(20))
    stream_address: Mapped[str | None] = mapped_column(String(500))
    stream_secret: Mapped[Sealed | None] = mapped_column(SealedText)
    #: the site whose agent watches it; None: nobody does
    site_id: Mapped[str | None] = mapped_column(ForeignKey("site.id"), index=True)
    #: what its stream should be; None is not compared
    stream_codec: Mapped[str | None] = mapped_column(String(10))
    stream_width: Mapped[int | None] = mapped_column(Integer)
    stream_height: Mapped[int | None] = mapped_column(Integer)
    stream_rate_fps: Mapped[float | None] = mapped_column(Float)
    #: seconds between probes; None: as its site does with all
    probe_interval_s: Mapped[int | None] = mapped_column(Integer)
    note: Mapped[str] = mapped_column(String(1000), default="")
    state: Mapped[str] = mapped_column(String(20), default="planned")
    retired_us: Mapped[int | None] = mapped_column(BigInteger)
    created_us: Mapped[int] = mapped_column(BigInteger)
