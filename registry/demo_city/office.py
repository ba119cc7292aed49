"""What lies on the desks of the invented town: specifications, findings and requests in several states.

The people who acted do not exist; their ids lead to nobody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act
from registry.cameras.models import Camera
from registry.inspections import service as inspections
from registry.inspections.models import Inspection
from registry.models import Organisation
from registry.requests import service as requests
from registry.requests.models import CityRequest
from registry.rights import Actor
from registry.sealed import Keyring
from registry.specifications import service as specifications
from registry.specifications.models import Specification

_AUTHOR: Final = Actor("demo-author", "staff")
_APPROVER: Final = Actor("demo-approver", "staff")
#: Title, kind, budget in MNT, the moves it has taken.
_SPECIFICATIONS: Final[tuple[tuple[str, Any, int, tuple[Any, ...]], ...]] = (
    ("Төв замын 24 камер", "camera", 186_000_000, ("submit", "take", "approve")),
    ("Хуучин Дарханы шилэн кабель, 6 км", "fibre", 312_000_000, ("submit", "take")),
    ("Хяналтын төвийн бичлэгийн сервер", "server", 94_000_000, ("submit",)),
    ("Сургуулиудын сүлжээний шилжүүлэгч", "network", 41_500_000, ("submit", "take", "return")),
    ("Зогсоолын камер, хоёрдугаар ээлж", "camera", 68_000_000, ()),
)
#: Which camera in the order of numbers, severity, text, the moves it has taken.
_FINDINGS: Final[tuple[tuple[int, Any, str, tuple[Any, ...]], ...]] = (
    (3, "high", "Анхааруулах самбар алга.", ()),
    (11, "medium", "Бичлэг 720 цагаас богино хадгалагдаж байна.", ("fix",)),
    (27, "low", "Хаалтны өнгө арилсан.", ("fix", "verify")),
    (58, "critical", "Хувийн орц руу харж байна; маск тавиагүй.", ("fix", "reopen")),
    (90, "medium", "Шошго уншигдахгүй байна.", ()),
)
#: Kind, subject, text, how many of the moves hand, answer, rate it has taken.
_REQUESTS: Final[tuple[tuple[Any, str, str, int], ...]] = (
    ("complaint", "camera", "Камер манай цонх руу харж байна.", 2),
    ("request", "detector", "Утаа мэдрэгч дуугарсаар байна, солиулах хүсэлтэй.", 1),
    ("suggestion", "camera", "Сургуулийн гарцан дээр камер нэмж өгнө үү.", 0),
    ("request", "network", "Цахилгаан тасарсны дараа холболт сэргээгүй.", 3),
)
_DAYS: Final[dict[Any, int]] = {"complaint": 30, "suggestion": 90, "request": 30}


async def enter_office(session: AsyncSession, keyring: Keyring, act: Act) -> dict[str, int]:
    """Enter the desks' papers once; how many of each kind were new."""
    counts = {"specifications": 0, "findings": 0, "requests": 0}
    for table in (Specification, Inspection, CityRequest):
        if await session.scalar(select(func.count()).select_from(table)):
            return counts
    body = await session.scalar(select(Organisation.id).order_by(Organisation.sort_key).limit(1))
    if body is None:
        return counts
    author, approver = replace(act, actor=_AUTHOR), replace(act, actor=_APPROVER)
    for title, kind, budget, moves in _SPECIFICATIONS:
        fields = {"title": title, "kind": kind, "budget_mnt": budget, "organisation_id": body,
                  "funding_source": "local_budget", "requirements": None}  # fmt: skip
        paper = await specifications.draft(session, author, fields)
        for move in moves:
            by = author if move == "submit" else approver
            reason = "Тоо ширхгийг тодруулна уу." if move == "return" else ""
            await specifications.move(session, keyring, by, paper, move, reason)
        counts["specifications"] += 1
    counts["findings"] = await _findings(session, author, approver, body)
    for kind, subject, text, taken in _REQUESTS:
        about = {"kind": kind, "subject": subject, "channel": "page", "unit_code": "4501"}
        said = requests.Said(text, "Жишээ оршин суугч", "jishee@example.org")
        row, _ = await requests.receive(session, keyring, author, said, about, _DAYS)
        if taken > 0:
            await requests.hand(session, author, row, body)
        if taken > 1:
            await requests.answer(session, keyring, author, row, "Газар дээр нь үзэж, зассан.")
        if taken > 2:
            await requests.rate(session, author, row, 4)
        counts["requests"] += 1
    return counts


async def _findings(session: AsyncSession, author: Act, approver: Act, body: str) -> int:
    fields = {"title": "Төв замын камерын үзлэг", "held_on": author.today, "organisation_id": body,
              "unit_code": "4501", "conclusion": ""}  # fmt: skip
    held = await inspections.hold(session, approver, fields)
    cameras = list(await session.scalars(select(Camera.id).order_by(Camera.sort_key)))
    count = 0
    for place, severity, text, moves in _FINDINGS:
        if place >= len(cameras):
            continue
        noted = {"inspection_id": held.id, "object_kind": "camera", "object_id": cameras[place],
                 "severity": severity, "text": text}  # fmt: skip
        finding = await inspections.note(session, approver, noted)
        for move in moves:
            by = author if move == "fix" else approver
            await inspections.move(session, by, finding, move, "" if move == "verify" else "Зассан.")
        count += 1
    return count
