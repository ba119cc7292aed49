"""``utaa ca …`` and ``utaa broker …``: certificates and the broker's rules from a console."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from gateway.broker.ca import (
    DEFAULT_DAYS,
    KINDS,
    SOON,
    Authority,
    CaError,
    Issued,
    utc_now,
    write_bundle,
)
from gateway.broker.control import ControlError, Door, bring
from gateway.broker.files import TlsFiles
from gateway.broker.rules import first_file, wanted

_KINDS_HELP: Final = f"one of {', '.join(KINDS)}"
Folder = Annotated[
    Path, typer.Option("--folder", help="the authority's folder; keep it off the broker")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
DEFAULT_FOLDER: Final = Path("utaa-ca")
#: Where Debian's mosquitto package puts the plugin.
_PLUGINS: Final = "/usr/lib/*/mosquitto_dynamic_security.so"

ca = typer.Typer(
    no_args_is_help=True,
    help="The city's own small certificate authority, for its broker, gateways, sites and devices. "
    "Begin with 'utaa ca init', then 'utaa ca issue broker main --host mqtt.example.org'.",
)
broker = typer.Typer(
    no_args_is_help=True,
    help="The broker's rules, made from the certificates: who may say and hear what. "
    "'utaa broker init' writes what Mosquitto needs; 'utaa broker sync' keeps it right.",
)


@ca.command()
def init(
    folder: Folder = DEFAULT_FOLDER,
    city: Annotated[str, typer.Option(help="the city's name, shown in the certificate")] = "City",
) -> None:
    """A new authority: its key, its certificate and an empty list of what is revoked."""
    try:
        made = Authority.create(folder, city, utc_now())
    except CaError as error:
        _fail(error)
    typer.echo(f"made an authority in {folder}; clients trust {made.certificate}")
    typer.echo("its key (ca.key) can make anybody a site: keep it on a machine that nobody reaches")


@ca.command()
def issue(
    kind: Annotated[str, typer.Argument(help=_KINDS_HELP)],
    name: Annotated[str, typer.Argument(help="the site's id, the detector's address, or a name")],
    out: Annotated[Path, typer.Option(help="folder for ca.pem, cert.pem and key.pem")],
    folder: Folder = DEFAULT_FOLDER,
    host: Annotated[
        list[str] | None, typer.Option(help="name or address clients use (broker); repeatable")
    ] = None,
    days: Annotated[int, typer.Option(help="how long it is valid")] = DEFAULT_DAYS,
    csr: Annotated[
        Path | None, typer.Option(help="a signing request: the key then never leaves its machine")
    ] = None,
) -> None:
    """Sign a certificate. An earlier one of the same name goes on being valid until it is revoked."""
    try:
        authority = Authority(folder)
        request = csr.read_bytes() if csr else None
        bundle = authority.issue(
            kind,  # type: ignore[arg-type]  # checked by the authority, with a better message
            name,
            utc_now(),
            hosts=host or [],
            days=days,
            csr_pem=request,
        )
        write_bundle(bundle, authority, out)
    except (CaError, OSError) as error:
        _fail(error)
    typer.echo(
        f"signed {bundle.issued.identity}, valid until {bundle.issued.ends():%Y-%m-%d}, in {out}"
    )
    if kind != "broker":
        typer.echo("it may do nothing yet: run 'utaa broker sync'")


@ca.command()
def renew(
    kind: Annotated[str, typer.Argument(help=_KINDS_HELP)],
    name: Annotated[str, typer.Argument(help="as it was issued")],
    out: Annotated[Path, typer.Option(help="the folder its files are read from")],
    folder: Folder = DEFAULT_FOLDER,
    host: Annotated[list[str] | None, typer.Option(help="as with 'issue'")] = None,
    days: Annotated[int, typer.Option(help="how long it is valid")] = DEFAULT_DAYS,
) -> None:
    """Sign the next certificate of a name that has one. Both work; revoke the old one when all use
    the new: an agent reads its files again at every connection, so nothing is restarted."""
    try:
        if not any(e.kind == kind and e.name == name for e in Authority(folder).issued()):
            raise CaError(f"{kind}.{name} has no certificate yet: use 'utaa ca issue'")
    except CaError as error:
        _fail(error)
    issue(kind=kind, name=name, out=out, folder=folder, host=host, days=days, csr=None)


@ca.command()
def revoke(
    which: Annotated[str, typer.Argument(help="an identity, or KIND.NAME for all of them")],
    reason: Annotated[str, typer.Option(help="why; kept in the index")],
    folder: Folder = DEFAULT_FOLDER,
    except_newest: Annotated[
        bool, typer.Option("--except-newest", help="after a renewal: keep the newest one")
    ] = False,
) -> None:
    """End certificates. The broker forgets them at the next 'utaa broker sync', without a restart."""
    try:
        authority = Authority(folder)
        ended = _revoke(authority, which, reason, except_newest)
    except CaError as error:
        _fail(error)
    for each in ended:
        typer.echo(f"revoked {each.identity}")
    if not ended:
        typer.echo("nothing to revoke: none of them was valid any more")


def _revoke(authority: Authority, which: str, reason: str, except_newest: bool) -> list[Issued]:
    now = utc_now()
    if not except_newest:
        return authority.revoke(which, now, reason)
    named = [e for e in authority.issued() if f"{e.kind}.{e.name}" == which and e.valid(now)]
    if not named:
        raise CaError(f"{which}: no valid certificate of that name; expected KIND.NAME")
    ended: list[Issued] = []
    for each in named[:-1]:
        ended += authority.revoke(each.identity, now, reason)
    return ended


@ca.command("list")
def list_(
    folder: Folder = DEFAULT_FOLDER,
    every: Annotated[bool, typer.Option("--all", help="also those that are over")] = False,
    as_json: AsJson = False,
) -> None:
    """The certificates, and which end within thirty days."""
    now = utc_now()
    try:
        found = [each for each in Authority(folder).issued() if every or each.valid(now)]
    except CaError as error:
        _fail(error)
    for each in found:
        state = "revoked" if each.revoked else "over" if not each.valid(now) else "valid"
        soon = state == "valid" and each.ends() - now < SOON
        if as_json:
            line = {"identity": each.identity, "state": state, "ends": each.not_after, "soon": soon}
            typer.echo(json.dumps({**line, "reason": each.reason}))
        else:
            ends = f"{each.ends():%Y-%m-%d}"
            typer.echo(f"{each.identity:64} {state:8} {ends}{'  ENDS SOON' if soon else ''}")
    if not found and not as_json:
        typer.echo("no certificate yet: 'utaa ca issue --help'")


@broker.command("init")
def broker_init(
    out: Annotated[Path, typer.Option(help="the broker's folder")],
    host: Annotated[list[str], typer.Option(help="name or address clients use; repeatable")],
    folder: Folder = DEFAULT_FOLDER,
    port: Annotated[int, typer.Option(help="the TLS port")] = 8883,
) -> None:
    """Write mosquitto.conf, the broker's certificate and its first rules, and an administrator's
    certificate (in OUT/admin) for 'utaa broker sync'."""
    try:
        authority = Authority(folder)
        now = utc_now()
        out.mkdir(parents=True, exist_ok=True)
        write_bundle(authority.issue("broker", "main", now, hosts=host), authority, out)
        admin = authority.issue("admin", "broker", now)
        write_bundle(admin, authority, out / "admin")
        rules = out / "dynamic-security.json"
        if rules.exists():
            raise CaError(f"{rules} exists: the broker has rules already; use 'utaa broker sync'")
        rules.touch(mode=0o600)
        rules.write_text(json.dumps(first_file(admin.issued.identity), indent=1), encoding="utf-8")
        (out / "mosquitto.conf").write_text(mosquitto_conf(out.absolute(), port), encoding="utf-8")
    except (CaError, OSError) as error:
        _fail(error)
    typer.echo(f"wrote {out}/mosquitto.conf; the account mosquitto runs as must own {out}")
    typer.echo(f"then: mosquitto -c {out}/mosquitto.conf, and 'utaa broker sync --admin {out}/admin'")


def mosquitto_conf(folder: Path, port: int) -> str:
    """Mosquitto's settings: TLS with client certificates, rules by plugin, queues without silent loss.

    Raises ``CaError`` where the plugin is not installed.
    """
    pattern = Path(_PLUGINS)
    plugins = sorted(Path("/").glob(str(pattern.relative_to("/"))))
    if not plugins:
        raise CaError(f"{_PLUGINS} is not there: sudo apt-get install mosquitto")
    return "\n".join(
        [
            f"listener {port}",
            f"cafile {folder / 'ca.pem'}",
            f"certfile {folder / 'cert.pem'}",
            f"keyfile {folder / 'key.pem'}",
            "tls_version tlsv1.2",
            "require_certificate true",
            "# the name in the certificate is who the client is; the plugin knows what it may do",
            "use_identity_as_username true",
            f"plugin {plugins[0]}",
            f"plugin_opt_config_file {folder / 'dynamic-security.json'}",
            "# the defaults drop messages without a word",
            "max_queued_messages 0",
            "max_inflight_messages 1000",
            "message_size_limit 8388608",
            "",
        ]
    )


@broker.command()
def sync(
    admin: Annotated[Path, typer.Option(help="folder of the administrator's certificate")],
    folder: Folder = DEFAULT_FOLDER,
    host: Annotated[str, typer.Option(help="the broker, as its certificate names it")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="its TLS port")] = 8883,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would change")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the broker's rules to what the certificates say. Revoked ones are dropped at once."""
    door = Door(host, port, TlsFiles(admin / "ca.pem", admin / "cert.pem", admin / "key.pem"))
    try:
        want = wanted(Authority(folder).issued(), utc_now())
        done = asyncio.run(bring(door, want, only_look=dry_run))
    except (CaError, ControlError) as error:
        _fail(error)
    if as_json:
        typer.echo(json.dumps(done))
        return
    verb = "would send" if dry_run else "sent"
    for command, count in sorted(Counter(step["command"] for step in done).items()):
        typer.echo(f"{verb} {count} {command}")
    if not done:
        typer.echo("the broker's rules are right already")


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"utaa: {error}", err=True)
    raise typer.Exit(1) from None
