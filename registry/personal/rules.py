"""The register's rules of retention, in the order they run; and what stays, with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, Text, and_, cast, delete, null, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from registry.accounts.models import OutsideAccount, RecoveryCode
from registry.fieldwork.models import Commissioning, FieldPicture
from registry.importing.models import ImportRow, RegisterImport
from registry.khur.models import KhurAnswer
from registry.models import AuditEntry, LoginFailure, LoginSession, SetupCode
from registry.personal import erasure, redaction
from registry.personal.retention import Letting, Rule
from registry.requests.models import CityRequest, OpenDoorCount
from registry.residents.models import HomeLink, HomeSession
from registry.sealed import Sealed

#: Entries of the audit whose ``origin`` says where a person was, not what they did.
ORIGINS: Final = ("session.open", "session.refused", "session.close", "home.open", "home.close")
_ENDED_IMPORTS: Final = ("applied", "undone", "partly_undone", "dropped")

#: Tables with something personal and no rule of their own, and why.
STAYS: Final[dict[str, str]] = {
    "person": "login and name say whom the audit means, also after they have left",
    "organisation": "whom to ask there, while the organisation is in the register",
    "audit_entry": "the city answers for what was done; origins go by rule, homes at their wish",
    "emergency_access": "who borrowed a role and why is part of the audit",
    "saved_view": "a clerk's own lists, until the clerk deletes them",
    "search_word": "goes with the record it is a word of",
    "latest_reading": "one row of each detector, replaced by every reading",
}


def _rows(table: Any, key: Any, when: Any) -> Any:
    """Whole rows of a table, once a moment of theirs lies behind."""

    def due(older_us: int) -> Select[Any]:
        return select(key).where(when(older_us)).order_by(key)

    async def forget(session: AsyncSession, _letting: Letting, keys: Sequence[Any]) -> None:
        await session.execute(delete(table).where(key.in_(keys)))

    return {"due": due, "forget": forget}


def _requests_due(older_us: int) -> Select[Any]:
    return select(CityRequest.id).where(
        CityRequest.erased_us.is_(None), CityRequest.answered_us < older_us
    )


async def _empty_requests(session: AsyncSession, letting: Letting, keys: Sequence[str]) -> None:
    await erasure.empty_requests(session, letting.keyring, letting.act, keys)


def _uploads_due(older_us: int) -> Select[Any]:
    held = or_(RegisterImport.content.is_not(None), RegisterImport.repairs.is_not(None))
    return select(RegisterImport.id).where(held, RegisterImport.created_us < older_us)


async def _drop_uploads(session: AsyncSession, _letting: Letting, keys: Sequence[str]) -> None:
    waiting = and_(RegisterImport.id.in_(keys), RegisterImport.state == "uploaded")
    await session.execute(update(RegisterImport).where(waiting).values(state="dropped"))
    emptied: dict[str, Sealed | None] = {"content": None, "repairs": None}
    await session.execute(update(RegisterImport).where(RegisterImport.id.in_(keys)).values(emptied))


def _replaced_due(older_us: int) -> Select[Any]:
    """What an import replaced can be put back for a while."""
    query: Any = select(ImportRow.import_id, ImportRow.position)
    found: Select[Any] = (
        query.join(RegisterImport, RegisterImport.id == ImportRow.import_id)
        .where(RegisterImport.state.in_(_ENDED_IMPORTS), RegisterImport.created_us < older_us)
        .where(ImportRow.sealed_before.is_not(None), cast(ImportRow.sealed_before, Text) != "null")
    )
    return found


async def _drop_replaced(session: AsyncSession, _letting: Letting, keys: Sequence[Any]) -> None:
    rows = tuple_(ImportRow.import_id, ImportRow.position).in_(keys)
    await session.execute(update(ImportRow).where(rows).values(sealed_before=null()))


async def _drop_pictures(session: AsyncSession, _letting: Letting, keys: Sequence[str]) -> None:
    await session.execute(
        update(Commissioning).where(Commissioning.picture_id.in_(keys)).values(picture_id=None)
    )
    await session.execute(delete(FieldPicture).where(FieldPicture.id.in_(keys)))


def _origins_due(older_us: int) -> Select[Any]:
    return (
        select(AuditEntry.id)
        .where(AuditEntry.action.in_(ORIGINS), AuditEntry.origin != "", AuditEntry.at_us < older_us)
        .order_by(AuditEntry.id)
    )


async def _redact_origins(session: AsyncSession, letting: Letting, keys: Sequence[int]) -> None:
    await redaction.redact(session, letting.act, keys, origin_only=True)


RULES: Final[tuple[Rule, ...]] = (
    Rule("sessions", "secret", ("login_session",), "sessions_days",
         **_rows(LoginSession, LoginSession.token_hash, lambda t: LoginSession.expires_us < t)),
    Rule("setup_codes", "secret", ("setup_code",), "sessions_days",
         **_rows(SetupCode, SetupCode.code_hash, lambda t: SetupCode.expires_us < t)),
    Rule("recovery_codes", "secret", ("recovery_code",), "sessions_days",
         **_rows(RecoveryCode, RecoveryCode.code_hash, lambda t: RecoveryCode.used_us < t)),
    Rule("failed_sign_ins", "personal", ("login_failure",), "sessions_days",
         **_rows(LoginFailure, LoginFailure.key, lambda t: LoginFailure.last_us < t)),
    Rule("open_door_counts", "personal", ("open_door_count",), "sessions_days",
         **_rows(OpenDoorCount, OpenDoorCount.key, lambda t: OpenDoorCount.window_us < t)),
    Rule("outside_accounts", "personal", ("outside_account",), "outside_accounts_days",
         **_rows(OutsideAccount, OutsideAccount.subject_hash, lambda t: and_(
             OutsideAccount.person_id.is_(None), OutsideAccount.created_us < t))),
    Rule("home_links", "secret", ("home_link",), "links_days",
         **_rows(HomeLink, HomeLink.token_hash, lambda t: HomeLink.expires_us < t)),
    Rule("home_sessions", "secret", ("home_session",), "links_days",
         **_rows(HomeSession, HomeSession.token_hash, lambda t: HomeSession.expires_us < t)),
    Rule("register_answers", "personal", ("khur_answer",), "register_answers_days",
         **_rows(KhurAnswer, KhurAnswer.key, lambda t: KhurAnswer.valid_until_us < t)),
    Rule("uploads", "personal", ("register_import",), "uploads_days", _uploads_due, _drop_uploads),
    Rule("replaced_values", "personal", ("import_row",), "uploads_days", _replaced_due, _drop_replaced),
    Rule("requests", "personal", ("city_request",), "requests_days", _requests_due, _empty_requests),
    Rule("home_pictures", "personal", ("field_picture",), "pictures_days",
         lambda t: select(FieldPicture.id).where(FieldPicture.received_us < t), _drop_pictures),
    Rule("sign_in_origins", "personal", ("audit_entry",), "sign_in_origins_days",
         _origins_due, _redact_origins),
)  # fmt: skip
