"""Receiving, handing over, answering, rating and opening; in the caller's write transaction."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act, record
from registry.codes import check_character, encoded, folded, has_good_check
from registry.models import Organisation
from registry.numbering import next_number
from registry.requests.models import CityRequest
from registry.requests.workflow import TABLE, Kind
from registry.sealed import Keyring, Sealed
from registry.sites import NoSuch
from registry.steps import step_of

#: ``ӨГ``: өргөдөл, гомдол.
SERIES: Final = "ӨГ"
#: 80 random bits and a check character: nobody guesses another's code.
_CODE_BYTES: Final = 10
_CODE_CHARACTERS: Final = 16
_PURPOSE: Final = "city_request.{}"


@dataclass(frozen=True)
class Said:
    """What somebody says, readable; sealed as it is stored."""

    text: str
    name: str | None = None
    contact: str | None = None

    def __repr__(self) -> str:
        return "Said(…)"


@dataclass(frozen=True)
class Opened:
    """The sealed fields of a request, readable."""

    text: str
    name: str | None
    contact: str | None
    answer: str | None

    def __repr__(self) -> str:
        return "Opened(…)"


async def receive(
    session: AsyncSession, keyring: Keyring, act: Act, said: Said, fields: dict[str, Any],
    days: dict[Kind, int],
) -> tuple[CityRequest, str]:  # fmt: skip
    """A new request with the next number of its year, and the code to give to the asker, this once."""
    code = encoded(secrets.token_bytes(_CODE_BYTES), _CODE_CHARACTERS)
    code += check_character(code)
    number = await next_number(session, SERIES, act.today.year)
    row = CityRequest(
        **fields, number=str(number), code_hash=_hash(code), state="received",
        text=_seal(keyring, "text", said.text), name=_seal(keyring, "name", said.name),
        contact=_seal(keyring, "contact", said.contact), received_us=act.now_us,
        due_on=act.today + timedelta(days=days[fields["kind"]]),
    )  # fmt: skip
    await editing.create(session, act, row)
    return row, code


async def hand(session: AsyncSession, act: Act, row: CityRequest, organisation_id: str) -> None:
    """Hand it to the body that answers for it. Raises ``StepRefused``, ``NoSuch``."""
    step = step_of(TABLE, "hand", row.state)
    if await session.get(Organisation, organisation_id) is None:
        raise NoSuch("organisation", organisation_id)
    wanted = {"state": step.goal, "organisation_id": organisation_id, "handed_us": act.now_us}
    await editing.change(session, act, row, wanted, verb="hand")


async def answer(
    session: AsyncSession, keyring: Keyring, act: Act, row: CityRequest, text: str
) -> None:
    """Answer it. Raises ``StepRefused``."""
    step = step_of(TABLE, "answer", row.state)
    wanted = {
        "state": step.goal, "answer": _seal(keyring, "answer", text), "answered_us": act.now_us,
        "answered_by": act.actor.id,
    }  # fmt: skip
    await editing.change(session, act, row, wanted, verb="answer")


async def rate(session: AsyncSession, act: Act, row: CityRequest, satisfaction: int) -> None:
    """The asker says how content they are, once. Raises ``StepRefused``."""
    step = step_of(TABLE, "rate", row.state)
    wanted = {"state": step.goal, "satisfaction": satisfaction, "rated_us": act.now_us}
    await editing.change(session, act, row, wanted, verb="rate")


async def by_code(session: AsyncSession, code: str, *, lock: bool = False) -> CityRequest:
    """The request of this code, however it was typed. Raises ``NoSuch`` that does not repeat it."""
    plain = folded(code)
    row = None
    if len(plain) == _CODE_CHARACTERS + 1 and has_good_check(plain):
        query = select(CityRequest).where(CityRequest.code_hash == _hash(plain))
        row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NoSuch("request", "with this code")
    return row


async def open_request(session: AsyncSession, keyring: Keyring, act: Act, row: CityRequest) -> Opened:
    """The sealed fields; who reads them is recorded first. The caller has checked the right."""
    await record(session, act, "city_request.open", "city_request", row.id)
    return opened(keyring, row)


def opened(keyring: Keyring, row: CityRequest) -> Opened:
    """The sealed fields, for the asker or after the opening was recorded."""

    def read(name: str) -> str | None:
        sealed: Sealed | None = getattr(row, name)
        return keyring.open(sealed, _PURPOSE.format(name)) if sealed is not None else None

    return Opened(read("text") or "", read("name"), read("contact"), read("answer"))


def overdue(act: Act) -> list[ColumnElement[bool]]:
    """The conditions of a request that should have been answered."""
    return [CityRequest.state.in_(("received", "handed")), CityRequest.due_on < act.today]


def _seal(keyring: Keyring, name: str, text: str | None) -> Sealed | None:
    return keyring.seal(text, _PURPOSE.format(name)) if text else None


def _hash(code: str) -> str:
    """SHA-256 is enough for a secret of 80 bits."""
    return hashlib.sha256(code.encode()).hexdigest()


async def body_of(session: AsyncSession, row: CityRequest) -> str | None:
    """The name of the body it was handed to."""
    found = await session.get(Organisation, row.organisation_id or "")
    return found.name if found is not None else None
