"""Who is on duty: people told for a unit and all that lies in it, or at the city's desk.

``add_on_duty`` (``registry.households``) enters one; here they are listed, taken off duty, and taken
from a file: CSV with the columns ``COLUMNS``, or TOML with ``[[duty]]`` tables of the same names.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import audit
from registry.households import (
    CHANNEL_ADDRESS,
    CHANNELS,
    CONTACT_NAME,
    LANGUAGES,
    ChannelEntry,
    ContactEntry,
    add_on_duty,
    channels_of,
    normal_address,
)
from registry.models import Contact, ContactChannel
from registry.register_file import Problem, RegisterRefused
from registry.rights import Actor
from registry.sealed import Keyring
from registry.sites import NoSuch

ROLES: Final = ("duty", "desk")
COLUMNS: Final = ("role", "unit", "name", "language", *CHANNELS)
#: A city of 204 khoroos has a few people on duty in each.
_MAX_ROWS: Final = 10_000
#: Channels whose address is JSON do not fit a cell well, but may be given.
_MAX_NAME: Final = 200


@dataclass(frozen=True)
class OnDuty:
    """One line of a file, readable."""

    role: str
    unit_code: str | None
    entry: ContactEntry


async def on_duty(
    session: AsyncSession, *conditions: ColumnElement[bool]
) -> list[tuple[Contact, list[ContactChannel]]]:
    """Everybody on duty with their living channels, by unit; all still sealed."""
    contacts = (
        await session.scalars(
            select(Contact)
            .where(Contact.role.in_(ROLES), Contact.gone_us.is_(None), *conditions)
            .order_by(Contact.unit_code, Contact.position, Contact.id)
        )
    ).all()
    channels = await channels_of(session, [contact.id for contact in contacts])
    return [(contact, channels.get(contact.id, [])) for contact in contacts]


async def find_on_duty(session: AsyncSession, contact_id: str) -> Contact:
    """Somebody on duty. Raises ``NoSuch``."""
    contact = await session.get(Contact, contact_id, with_for_update=True)
    if contact is None or contact.role not in ROLES or contact.gone_us is not None:
        raise NoSuch("contact on duty", contact_id)
    return contact


async def take_off_duty(session: AsyncSession, contact: Contact, now_us: int) -> None:
    """Nothing more is planned for them; what was sent to them stays true."""
    contact.gone_us = now_us
    await session.flush()


def check_role(role: str, unit_code: str | None) -> None:
    """Raises ``ValueError`` that says what was expected."""
    if role not in ROLES:
        raise ValueError("expected the role duty or desk")
    if role == "duty" and not unit_code:
        raise ValueError("expected the code of the unit that they answer for, such as 111664")
    if unit_code and not (unit_code.isascii() and unit_code.isdigit() and 2 <= len(unit_code) <= 8):
        raise ValueError("expected the code of a district or khoroo, such as 111664")


async def import_on_duty(
    session: AsyncSession, keyring: Keyring, rows: Sequence[OnDuty], *, actor: Actor, now_us: int
) -> int:
    """Add whom nobody has entered yet (same role, unit and name); how many were new."""
    known = {
        (contact.role, contact.unit_code, keyring.open(contact.name, CONTACT_NAME))
        for contact, _ in await on_duty(session)
    }
    new = 0
    for row in rows:
        key = (row.role, row.unit_code, row.entry.name)
        if key in known:
            continue
        known.add(key)
        contact = await add_on_duty(session, keyring, row.role, row.unit_code, row.entry)
        await audit.append(
            session, actor=actor, action="duty.create", object_kind="contact", object_id=contact.id,
            now_us=now_us, origin="file", after={"role": row.role, "unit_code": row.unit_code},
        )  # fmt: skip
        new += 1
    return new


def opened(keyring: Keyring, contact: Contact, channels: Sequence[ContactChannel]) -> ContactEntry:
    """Readable. The caller has checked the right to it."""
    ways = tuple(
        ChannelEntry(row.channel, keyring.open(row.address, CHANNEL_ADDRESS), row.id)
        for row in channels
    )
    return ContactEntry(keyring.open(contact.name, CONTACT_NAME), contact.language, ways, contact.id)


# ---- files -----------------------------------------------------------------------------------


def read_on_duty(path: Path) -> list[OnDuty]:
    """The file's rows. Raises ``RegisterRefused`` with every mistake and its line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "expected UTF-8"
        raise RegisterRefused([Problem(path.name, 0, "", said)]) from None
    rows = _toml(path.name, text) if path.suffix.lower() == ".toml" else _csv(path.name, text)
    if len(rows) > _MAX_ROWS:
        raise RegisterRefused([Problem(path.name, 0, "", f"expected at most {_MAX_ROWS} rows")])
    problems: list[Problem] = []
    found = [_row(path.name, line, values, problems) for line, values in rows]
    if problems:
        raise RegisterRefused(problems)
    return [row for row in found if row is not None]


def _toml(file: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    try:
        tables = tomllib.loads(text).get("duty", [])
    except tomllib.TOMLDecodeError as error:
        raise RegisterRefused([Problem(file, 0, "", f"expected TOML; {error}")]) from None
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() == "[[duty]]"]
    if not isinstance(tables, list) or len(lines) != len(tables) or not tables:
        raise RegisterRefused([Problem(file, 0, "", "expected [[duty]] tables")])
    return list(zip(lines, tables, strict=True))


def _csv(file: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [
            (reader.line_num, {(key or "").strip().lower(): value for key, value in row.items()})
            for row in reader
        ]
    except csv.Error as error:
        raise RegisterRefused([Problem(file, 0, "", f"expected CSV; {error}")]) from None


def _row(file: str, line: int, values: dict[str, Any], problems: list[Problem]) -> OnDuty | None:
    before = len(problems)
    for column in values:
        if column not in COLUMNS:
            problems.append(Problem(file, line, column, f"expected one of {', '.join(COLUMNS)}"))
    said = {column: str(values.get(column) or "").strip() for column in COLUMNS}
    unit_code = said["unit"] or None
    try:
        check_role(said["role"], unit_code)
    except ValueError as error:
        problems.append(Problem(file, line, "unit" if said["role"] in ROLES else "role", str(error)))
    if not 0 < len(said["name"]) <= _MAX_NAME:
        problems.append(Problem(file, line, "name", f"expected a name of 1 to {_MAX_NAME} characters"))
    if (said["language"] or "mn") not in LANGUAGES:
        problems.append(Problem(file, line, "language", f"expected {' or '.join(LANGUAGES)}"))
    ways = []
    for channel in CHANNELS:
        if said[channel]:
            try:
                ways.append(ChannelEntry(channel, normal_address(channel, said[channel])))
            except ValueError as error:
                problems.append(Problem(file, line, channel, str(error)))
    if not ways and len(problems) == before:
        problems.append(Problem(file, line, "", f"expected one of {', '.join(CHANNELS)}"))
    if len(problems) > before:
        return None
    entry = ContactEntry(said["name"], said["language"] or "mn", tuple(ways))
    return OnDuty(said["role"], unit_code, entry)
