"""Cameras: entering, changing, opening and merging them, with the rules of their fields.

Raises: ``NoSuch`` (model, organisation, specification), ``Conflict`` (a field contradicts another),
``Held`` (another record has its number), ``editing.ChangedMeanwhile``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.cameras.models import MIN_RETENTION_H, Camera, CameraModel
from registry.cameras.sight import View
from registry.cameras.twins import check_held
from registry.cameras.values import check_masks, normal_ip, normal_mac, split_stream
from registry.models import LifeStep, Organisation, Site
from registry.rights import Place
from registry.sealed import Keyring, Sealed
from registry.sites import Conflict, NoSuch
from registry.specifications.models import Specification

#: What the sealed column is sealed for.
STREAM_SECRET: Final = "camera.stream_secret"  # noqa: S105  # a purpose, not a password
_LIFE: Final = ("state", "retired_us", "gone_us", "merged_into_id")
#: What people may write; the rest follows from steps of its life.
FIELDS: Final = tuple(name for name in Camera.EDITED if name not in _LIFE)
_NORMAL: Final = {"mac": normal_mac, "ip": normal_ip}
#: What one of two merged records lends the other where that has nothing.
_LENT: Final = tuple(name for name in FIELDS if name not in ("number", "maker", "network"))


def normal_fields(keyring: Keyring, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as their columns take them: one form of each number, secrets sealed.

    Credentials inside a stream's address go where secrets go. Raises ``Conflict`` naming the field.
    """
    normal = dict(fields)
    for name, value in fields.items():
        try:
            if name in _NORMAL and value is not None:
                normal[name] = _NORMAL[name](value)
            elif name == "privacy_masks":
                normal[name] = check_masks(value)
            elif name == "stream_address" and value is not None:
                normal[name], secret = split_stream(value)
                if secret is not None:
                    normal["stream_secret"] = fields.get("stream_secret") or secret
        except ValueError as error:
            raise Conflict(name, str(error)) from None
    if isinstance(normal.get("stream_secret"), str):
        secret = normal["stream_secret"]
        normal["stream_secret"] = keyring.seal(secret, STREAM_SECRET) if secret else None
    return normal


async def create_camera(
    session: AsyncSession, act: Act, keyring: Keyring, fields: Mapping[str, Any]
) -> Camera:
    """A new camera, planned. ``fields``: of ``FIELDS``, ``stream_secret`` readable."""
    normal = normal_fields(keyring, fields)
    camera = Camera(**_DEFAULTS | normal, created_us=act.now_us)
    await _follow_model(session, camera, normal)
    await _check(session, camera, {**values(camera)}, own_id=None)
    await editing.create(session, act, camera)
    session.add(
        LifeStep(
            object_kind="camera", object_id=camera.id, to_state="planned", at_us=act.now_us,
            actor=act.actor.id, evidence={}, reason=act.reason,
        )
    )  # fmt: skip
    return camera


_DEFAULTS: Final[dict[str, Any]] = {
    "name": "", "maker": "", "network": "", "place": "", "indoor": False, "purpose": "",
    "legal_basis": "", "privacy_masks": [], "recorder": "", "switch_port": "", "note": "",
    "state": "planned",
}  # fmt: skip


def values(camera: Camera) -> dict[str, Any]:
    """The fields people write, as the columns hold them."""
    return {name: getattr(camera, name) for name in FIELDS}


async def prepared(
    session: AsyncSession, keyring: Keyring, camera: Camera, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The change as the columns take it, checked against everything; nothing is changed yet."""
    if camera.gone_us is not None:
        raise Conflict("id", "it was removed; restore it first")
    normal = normal_fields(keyring, fields)
    if "model_id" in normal and "maker" not in normal:
        normal["maker"] = await _maker_of(session, normal["model_id"]) or camera.maker
    merged = {**values(camera), **normal}
    if (merged["retention_h"] or 0) >= MIN_RETENTION_H and merged["retention_waiver"]:
        normal["retention_waiver"] = merged["retention_waiver"] = None  # nothing left to waive
    await _check(session, camera, merged, own_id=camera.id)
    return normal


async def change_camera(
    session: AsyncSession, act: Act, keyring: Keyring, camera: Camera, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Change some of ``FIELDS``; returns what differed."""
    return await editing.change(session, act, camera, await prepared(session, keyring, camera, fields))


async def _follow_model(session: AsyncSession, camera: Camera, fields: Mapping[str, Any]) -> None:
    if camera.model_id is not None and not fields.get("maker"):
        camera.maker = await _maker_of(session, camera.model_id) or ""


async def _maker_of(session: AsyncSession, model_id: str | None) -> str | None:
    return await session.scalar(select(CameraModel.maker).where(CameraModel.id == model_id))


async def _check(
    session: AsyncSession, camera: Camera, fields: Mapping[str, Any], *, own_id: str | None
) -> None:
    for table, name, kind in (
        (CameraModel, "model_id", "camera model"),
        (Organisation, "organisation_id", "organisation"),
        (Site, "site_id", "site"),
    ):
        key = fields[name]
        changed = own_id is None or key != getattr(camera, name)
        if key is not None and changed:
            record: Any = await session.get(table, key)
            if record is None or record.gone_us is not None:
                raise NoSuch(kind, key)
    specification = fields["specification_id"]
    if specification is not None and await session.get(Specification, specification) is None:
        raise NoSuch("specification", specification)
    retention = fields["retention_h"]
    if retention is not None and retention < MIN_RETENTION_H and not fields["retention_waiver"]:
        raise Conflict(
            "retention_h", f"recordings are kept {MIN_RETENTION_H} h, or a waiver says why not"
        )
    if (fields["lat"] is None) != (fields["lon"] is None):
        raise Conflict("lat" if fields["lat"] is None else "lon", "a place has both lat and lon")
    await check_held(session, fields, own_id)


def open_stream(keyring: Keyring, camera: Camera) -> str | None:
    """``user:password`` of the stream. The caller has checked the right and records the reading."""
    if camera.stream_secret is None:
        return None
    return keyring.open(camera.stream_secret, STREAM_SECRET)


def place_of(camera: Camera) -> Place:
    """Where it lies, for a question of rights."""
    return Place(unit_code=camera.unit_code, organisation_id=camera.organisation_id)


def view_of(camera: Camera, model: CameraModel | None) -> View | None:
    """Where it looks; None where place, lens or sensor is not known."""
    hfov = camera.hfov_deg or (model.hfov_max_deg if model else None)
    if model is None or model.sensor_width_px is None or hfov is None:
        return None
    if camera.lat is None or camera.lon is None:
        return None
    all_round = model.form in ("ptz", "fisheye")
    if camera.azimuth_deg is None and not all_round:
        return None
    return View(
        lat=camera.lat,
        lon=camera.lon,
        azimuth_deg=camera.azimuth_deg or 0.0,
        hfov_deg=hfov,
        width_px=model.sensor_width_px,
        height_px=model.sensor_height_px,
        height_m=camera.height_m,
        tilt_deg=camera.tilt_deg,
    )


async def merge_cameras(session: AsyncSession, act: Act, kept: Camera, gone: Camera) -> dict[str, Any]:
    """Two records of one camera: ``kept`` takes what it lacks, ``gone`` leaves every list.

    Both keep their own history; ``gone`` says into which it went. Needs a reason. Returns what
    ``kept`` took over.
    """
    if kept.id == gone.id:
        raise Conflict("other_id", "expected another camera")
    for camera in (kept, gone):
        if camera.gone_us is not None:
            raise Conflict("other_id", f"camera {camera.number!r} was removed")
    lent = {
        name: getattr(gone, name)
        for name in _LENT
        if _empty(getattr(kept, name)) and not _empty(getattr(gone, name))
    }
    if "serial" in lent and not kept.maker:
        lent["maker"] = gone.maker
    elif "serial" in lent and kept.maker != gone.maker:
        del lent["serial"]
    if "ip" in lent:
        lent["network"] = gone.network
    await editing.change(
        session, act, gone, {"gone_us": act.now_us, "merged_into_id": kept.id}, verb="merge"
    )
    # earlier merges into the one that goes now lead to the one that stays
    await session.execute(
        update(Camera).where(Camera.merged_into_id == gone.id).values(merged_into_id=kept.id)
    )
    note = {"merged": gone.id}
    if lent:
        await editing.change(session, act, kept, lent, verb="merge", note=note)
    else:
        await editing.note(session, act, kept, "merge", note)
    return lent


def _empty(value: Any) -> bool:
    return not isinstance(value, Sealed) and (value is None or value == "" or value == [])


async def cameras_by_id(session: AsyncSession, ids: Sequence[str]) -> list[Camera]:
    """These cameras, locked, in the order of their ids. Raises ``NoSuch`` for the first missing."""
    found: dict[str, Camera] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        query = select(Camera).where(Camera.id.in_(chunk)).with_for_update()
        found |= {camera.id: camera for camera in await session.scalars(query)}
    for camera_id in wanted:
        if camera_id not in found:
            raise NoSuch("camera", camera_id)
    return [found[camera_id] for camera_id in wanted]
