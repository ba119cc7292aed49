"""``utaa alerts duty …``: who is on duty, from a console."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.console import fail, with_database
from edge.wire.clock import clock_from_text
from registry import audit
from registry.households import CHANNEL_ADDRESS, ChannelEntry, ContactEntry, add_on_duty, masked
from registry.on_duty import (
    check_role,
    find_on_duty,
    import_on_duty,
    on_duty,
    read_on_duty,
    take_off_duty,
)
from registry.register_file import RegisterRefused
from registry.rights import CONSOLE
from registry.sealed import Keyring, KeyringError, load_keyring
from registry.settings import load
from registry.sites import NoSuch

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; also UTAA_CONFIG")]

duty_app = typer.Typer(no_args_is_help=True)


def _keyring(config: Path | None) -> Keyring:
    try:
        return load_keyring(load(config).effective_key_file)
    except KeyringError as error:
        fail(str(error))


def _now_us() -> int:
    return clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()


@duty_app.command("list")
def list_command(config: Config = None) -> None:
    """List who is on duty, by unit; addresses are masked."""
    keyring = _keyring(config)
    for contact, channels in with_database(config, on_duty):
        ways = ", ".join(
            f"{row.channel} {masked(row.channel, keyring.open(row.address, CHANNEL_ADDRESS))}"
            for row in channels
        )
        print(f"{contact.id}  {contact.role:<5} {contact.unit_code or 'the city':<9} {ways}")


@duty_app.command()
def add(
    name: Annotated[str, typer.Argument(help="the person's name; it is sealed")],
    channel: Annotated[list[str], typer.Option(help="such as email=a@b.mn or sms=99112233")],
    unit: Annotated[str, typer.Option(help="the code of the unit; leave out for the city's desk")] = "",
    language: str = "mn",
    config: Config = None,
) -> None:
    """Enter somebody: told of a fire that nobody at home has answered."""
    keyring, role = _keyring(config), "duty" if unit else "desk"
    pairs = [tuple(way.partition("=")[::2]) for way in channel]
    entry = ContactEntry(name, language, tuple(ChannelEntry(*pair) for pair in pairs))

    async def write(session: AsyncSession) -> str:
        check_role(role, unit or None)
        contact = await add_on_duty(session, keyring, role, unit or None, entry)
        await audit.append(
            session, actor=CONSOLE, origin="console", action="duty.create", object_kind="contact",
            object_id=contact.id, now_us=_now_us(), after={"role": role, "unit_code": unit or None},
        )  # fmt: skip
        return contact.id

    try:
        print(with_database(config, write, write=True))
    except ValueError as error:
        fail(str(error))


@duty_app.command()
def remove(
    contact: Annotated[str, typer.Argument(help="the id that list shows")],
    reason: Annotated[str, typer.Option(help="why; it is recorded")],
    config: Config = None,
) -> None:
    """Take somebody off duty."""

    async def write(session: AsyncSession) -> None:
        found = await find_on_duty(session, contact)
        await take_off_duty(session, found, _now_us())
        await audit.append(
            session, actor=CONSOLE, origin="console", action="duty.remove", object_kind="contact",
            object_id=found.id, now_us=_now_us(), reason=reason,
        )  # fmt: skip

    try:
        with_database(config, write, write=True)
    except (NoSuch, ValueError) as error:
        fail(str(error))


@duty_app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="CSV or TOML: role, unit, name, language, channels")],
    config: Config = None,
) -> None:
    """Enter everybody of a file: all of it or nothing; again changes nothing."""
    keyring = _keyring(config)
    try:
        rows = read_on_duty(file)
    except RegisterRefused as refused:
        for problem in refused.problems:
            typer.echo(str(problem), err=True)
        fail(f"{len(refused.problems)} problems: nothing was taken; correct them and import again")

    async def write(session: AsyncSession) -> int:
        return await import_on_duty(session, keyring, rows, actor=CONSOLE, now_us=_now_us())

    print(f"{with_database(config, write, write=True)} new of {len(rows)}")
