"""A look-up with its reason: recorded first, answered from the cache while it is valid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete

from edge.wire.identity import new_id
from registry.acts import Act, record
from registry.db import Database
from registry.khur.client import Answer, Khur, Kind, Outcome, check_question
from registry.khur.models import KhurAnswer
from registry.sealed import Keyring

_PURPOSE: Final = "khur_answer.answer"
_KEY: Final = "khur_answer.key"
_MIN_REASON: Final = 5


@dataclass(frozen=True)
class Looked:
    """An answer, and whether it was kept from before. ``asked_us``: when the adapter was asked."""

    answer: Answer
    cached: bool
    asked_us: int


class NoAdapter(Exception):
    """The settings name no adapter of KHUR."""


async def look_up(
    database: Database, keyring: Keyring, khur: Khur | None, act: Act, kind: Kind, question: str
) -> Looked:
    """Ask for a legal entity or an address. Raises ``ValueError`` (the question, no reason)."""
    plain = check_question(kind, question)
    reason = (act.reason or "").strip()
    if len(reason) < _MIN_REASON:
        raise ValueError("expected a reason: why it is looked up")
    if khur is None:
        raise NoAdapter("no adapter of KHUR is set: khur_url in the settings")
    key = keyring.fingerprint(f"{kind}\0{plain}", _KEY).hex()
    request_id = new_id()
    async with database.write() as session:
        await record(
            session, act, "khur.ask", "khur", key[:16], after={"kind": kind, "request_id": request_id}
        )
        await session.execute(delete(KhurAnswer).where(KhurAnswer.valid_until_us <= act.now_us))
        kept = await session.get(KhurAnswer, key)
    if kept is not None:
        content = json.loads(keyring.open(kept.answer, _PURPOSE)) if kept.answer else {}
        outcome: Outcome = "found" if kept.outcome == "found" else "unknown"
        return Looked(Answer(outcome, content, kept.valid_until_us), True, kept.asked_us)
    answer = await khur.ask(
        kind, plain, reason=reason, asker=act.actor.id, request_id=request_id, now_us=act.now_us
    )
    if answer.valid_until_us is not None and answer.valid_until_us > act.now_us:
        async with database.write() as session:
            await session.merge(_kept(keyring, key, kind, answer, act.now_us))
    return Looked(answer, False, act.now_us)


def _kept(keyring: Keyring, key: str, kind: Kind, answer: Answer, now_us: int) -> KhurAnswer:
    content = json.dumps(answer.content, ensure_ascii=False) if answer.outcome == "found" else None
    return KhurAnswer(
        key=key, kind=kind, outcome=answer.outcome, asked_us=now_us,
        answer=keyring.seal(content, _PURPOSE) if content else None,
        valid_until_us=answer.valid_until_us or now_us,
    )  # fmt: skip
