"""A specification as a document in Mongolian: what the template is given, and the PDF it makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import day_of
from registry.codes import grouped
from registry.models import Organisation, Person
from registry.printing.typeset import qr_svg
from registry.specifications.models import Specification, SpecificationAttachment
from registry.specifications.service import attachments_of
from registry.units import units

_KINDS: Final[Mapping[str, str]] = {
    "camera": "Камер", "fibre": "Шилэн кабель", "network": "Сүлжээ", "server": "Сервер",
    "system": "Систем",
}  # fmt: skip
_FUNDING: Final[Mapping[str, str]] = {
    "state_budget": "Улсын төсөв", "local_budget": "Орон нутгийн төсөв",
    "donor": "Хандивлагчийн зээл, буцалтгүй тусламж",
    "bank": "Олон улсын банкны зээл, буцалтгүй тусламж", "private": "Хувийн хөрөнгө оруулалт",
    "other": "Бусад эх үүсвэр",
}  # fmt: skip
_STATES: Final[Mapping[str, str]] = {
    "draft": "Ноорог", "submitted": "Илгээсэн", "review": "Хянаж байгаа", "returned": "Буцаасан",
    "rejected": "Татгалзсан", "approved": "Баталсан", "superseded": "Хүчингүй болсон",
}  # fmt: skip
#: Across every page of what is not (or no longer) valid.
_STAMPS: Final[Mapping[str, str]] = {
    **_STATES,
    "approved": "",
    "review": "Ноорог",
    "submitted": "Ноорог",
}
_WORDS: Final = {
    "specification": "Техникийн даалгавар", "purpose": "Зорилго", "requirements": "Шаардлага",
    "files": "Хавсралт", "source": "эх сурвалж", "code": "Шалгах код",
}  # fmt: skip
_DASH: Final = "—"


async def document_data(session: AsyncSession, row: Specification, *, base_url: str) -> dict[str, Any]:
    """What the template needs. ``base_url``: where the city's pages are, for the QR code."""
    files = await attachments_of(session, row.id)
    organisation = await session.get(Organisation, row.organisation_id or "")
    replaced = await session.get(Specification, row.supersedes_id or "")
    author = await _office_name(session, row.author_id)
    approver = await _office_name(session, row.decided_by) if row.decided_by else ""
    approved = row.state in ("approved", "superseded")
    address = f"{base_url.rstrip('/')}/v/{row.code}" if row.code else ""
    return {
        "number": row.number,
        "title": row.title,
        "publisher": organisation.name if organisation else "",
        "stamp": _STAMPS[row.state].upper(),
        "words": _WORDS,
        "facts": _facts(row, organisation, replaced),
        "purpose": [part for part in row.purpose.splitlines() if part.strip()],
        "requirements": row.requirements,
        "files": [_file(file) for file in files],
        "signatures": [
            {"role": "Боловсруулсан", "name": author, "day": _day(day_of(row.created_us))},
            {
                "role": "Баталсан",
                "name": approver if approved else "",
                "day": _day(day_of(row.decided_us)) if approved and row.decided_us else "",
            },
        ],
        "code": grouped(row.code) if row.code else "",
        "qr": qr_svg(address) if address else "",
        "proof": _proof(address, row) if address else [],
        "sha256": row.content_sha256 or "",
    }


def _facts(
    row: Specification, organisation: Organisation | None, replaced: Specification | None
) -> list[tuple[str, str]]:
    places = {unit.code: unit.name_mn for unit in units()}
    facts = [
        ("Төрөл", _KINDS[row.kind]),
        ("Төлөв", _STATES[row.state]),
        ("Захиалагч байгууллага", organisation.name if organisation else _DASH),
        ("Байршил", places.get(row.unit_code or "", row.unit_code or _DASH)),
        ("Төсөвт өртөг", money(row.budget_mnt)),
        ("Санхүүжилтийн эх үүсвэр", _FUNDING.get(row.funding_source or "", _DASH)),
        ("Гүйцэтгэх хугацаа", _day(row.deliver_by)),
    ]
    if replaced is not None:
        facts.append(("Орлож буй даалгавар", replaced.number))
    return facts


def _proof(address: str, row: Specification) -> list[str]:
    said = f"Энэ баримтыг {_day(day_of(row.decided_us or 0))} өдөр цахимаар баталсан."
    return [said, f"Үнэн зөв эсэхийг шалгах: {address}", "Агуулгын SHA-256:"]


def money(amount_mnt: int | None) -> str:
    """``125 000 000 ₮``, with spaces that do not break."""
    return _DASH if amount_mnt is None else f"{amount_mnt:,}".replace(",", "\u00a0") + "\u00a0₮"


def _day(day: date | None) -> str:
    return _DASH if day is None else f"{day.year} оны {day.month:02d} сарын {day.day:02d}"


def _file(file: SpecificationAttachment) -> dict[str, str]:
    kib = -(-file.size_bytes // 1024)
    return {"name": file.name, "size": f"{kib} КиБ", "sha256": file.sha256[:16] + "…"}


async def _office_name(session: AsyncSession, actor_id: str) -> str:
    """The login, which is an office name and no personal one; a machine's id as it is."""
    login = await session.scalar(select(Person.login).where(Person.id == actor_id))
    return login or actor_id


def state_words() -> Mapping[str, str]:
    """What each state is called in Mongolian."""
    return _STATES
