"""What the register itself finds wrong: analogue cameras, and recordings kept for too short.

Both are requirements of MNS 6423:2019. A suggestion is only shown; a person makes a finding of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.models import MIN_RETENTION_H, Camera, CameraModel
from registry.inspections.models import Finding
from registry.inspections.workflow import Severity

#: A list for a screen; the rest comes when these are worked off.
MAX_SUGGESTIONS: Final = 500
ANALOGUE: Final = "analogue_camera"
SHORT_RETENTION: Final = "short_retention"
_SEVERITY: Final[dict[str, Severity]] = {ANALOGUE: "medium", SHORT_RETENTION: "high"}
_TEXT: Final = {
    ANALOGUE: "Аналог камер байна (MNS 6423:2019).",
    SHORT_RETENTION: (
        "Бичлэгийг {hours} цаг хадгалж байна. {least} цагаас доошгүй байна (MNS 6423:2019)."
    ),
}


@dataclass(frozen=True)
class Suggestion:
    """A finding that a person may make."""

    rule: str
    object_kind: str
    object_id: str
    name: str
    severity: Severity
    text: str
    unit_code: str | None
    organisation_id: str | None


def breaches(analogue: bool, retention_h: int | None, waiver: str | None) -> tuple[str, ...]:
    """The rules a camera breaks. Unknown retention breaks none: nobody has looked yet."""
    found = (ANALOGUE,) if analogue else ()
    short = retention_h is not None and retention_h < MIN_RETENTION_H and not (waiver or "").strip()
    return (*found, SHORT_RETENTION) if short else found


async def suggestions(
    session: AsyncSession, *inside: ColumnElement[bool], limit: int = MAX_SUGGESTIONS
) -> Sequence[Suggestion]:
    """What is suggested for cameras in use, without what is a finding already that is not verified."""
    query = (
        select(Camera, CameraModel.analogue)
        .outerjoin(CameraModel, Camera.model_id == CameraModel.id)
        .where(Camera.gone_us.is_(None), Camera.state != "retired", *inside)
        .where(
            or_(
                and_(CameraModel.analogue.is_(True), ~_noted(ANALOGUE)),
                and_(Camera.retention_h < MIN_RETENTION_H, ~_noted(SHORT_RETENTION)),
            )
        )
        .order_by(Camera.number)
        .limit(limit)
    )
    rows = (await session.execute(query)).all()
    noted = await _noted_of(session, [camera.id for camera, _ in rows])
    made = []
    for camera, analogue in rows:
        for rule in breaches(bool(analogue), camera.retention_h, camera.retention_waiver):
            if (camera.id, rule) not in noted:
                text = _TEXT[rule].format(hours=camera.retention_h, least=MIN_RETENTION_H)
                made.append(
                    Suggestion(
                        rule, "camera", camera.id, camera.number, _SEVERITY[rule], text,
                        camera.unit_code, camera.organisation_id,
                    )
                )  # fmt: skip
    return made


def _noted(rule: str) -> ColumnElement[bool]:
    return exists().where(
        Finding.object_kind == "camera", Finding.object_id == Camera.id, Finding.rule == rule,
        Finding.state != "verified",
    )  # fmt: skip


async def _noted_of(session: AsyncSession, camera_ids: Sequence[str]) -> set[tuple[str, str]]:
    rows = await session.execute(
        select(Finding.object_id, Finding.rule).where(
            Finding.object_kind == "camera", Finding.object_id.in_(camera_ids),
            Finding.rule.is_not(None), Finding.state != "verified",
        )
    )  # fmt: skip
    return {(object_id, rule or "") for object_id, rule in rows}
