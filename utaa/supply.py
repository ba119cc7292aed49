"""``utaa supply …``: what Utaa is made of, and whether any of it is known to be broken.

Both commands work without a network. The bill of materials is CycloneDX 1.6; known vulnerabilities come
from an export of the OSV database (https://ossf.github.io/osv-schema/) that you hand over as a folder
or a zip file, for example the ``all.zip`` of its PyPI and npm ecosystems.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

app = typer.Typer(
    no_args_is_help=True,
    help="What Utaa is made of ('sbom'), and whether any of it is known to be broken ('check').",
)
_ROOT: Final = Path(__file__).resolve().parent.parent
#: One entry of the database is a few kB; a larger one is none.
_MAX_ENTRY_BYTES: Final = 4 << 20
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")


class SupplyError(Exception):
    """What cannot be read, in one line."""


@dataclass(frozen=True, order=True)
class Package:
    """Something by somebody else. ``ecosystem`` is PyPI or npm, as OSV names them."""

    ecosystem: str
    name: str
    version: str
    hashes: tuple[str, ...] = field(default=(), compare=False)
    licence: str = field(default="", compare=False)


@dataclass(frozen=True, order=True)
class Finding:
    """A package that a published entry says is affected."""

    package: str
    version: str
    entry: str
    summary: str
    fixed: str


def installed(root: str = "utaa") -> list[Package]:
    """Every Python package that Utaa needs here, as it is installed."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(root, frozenset({"plot", "cameras"}))]
    while waiting:
        name, extras = waiting.pop()
        try:
            one = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform, or an extra that is not installed
        key = canonicalize_name(name)
        if key in found and not extras:
            continue
        found[key] = one
        for text in one.requires or []:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue
            chosen = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            needed = wanted.marker is None or any(wanted.marker.evaluate(each) for each in chosen)
            if needed and (canonicalize_name(wanted.name) not in found or wanted.extras):
                waiting.append((wanted.name, frozenset(wanted.extras)))
    found.pop(canonicalize_name(root), None)
    hashes = _lock_hashes(_ROOT / "requirements.lock")
    return sorted(
        Package("PyPI", key, one.version, hashes.get((key, one.version), ()), _licence(one))
        for key, one in found.items()
    )


def front_end(lock: Path | None = None) -> list[Package]:
    """The pages' packages from package-lock.json, without those only the tests need."""
    path = lock or _ROOT / "package-lock.json"
    try:
        packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError):
        raise SupplyError(f"{path} is no package-lock.json") from None
    return sorted(
        Package("npm", name.rpartition("node_modules/")[2], one["version"], (), one.get("license", ""))
        for name, one in packages.items()
        if name and not one.get("dev")
    )


def bill(packages: Iterable[Package]) -> str:
    """The packages as CycloneDX 1.6 JSON."""
    bom = Bom()
    version = metadata.version("utaa")
    ours = Component(name="utaa", version=version, type=ComponentType.APPLICATION, bom_ref="utaa")
    bom.metadata.component = ours
    for each in packages:
        purl = PackageURL("pypi" if each.ecosystem == "PyPI" else "npm", None, each.name, each.version)
        part = Component(
            name=each.name,
            version=each.version,
            purl=purl,
            bom_ref=str(purl),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in each.hashes],
        )
        bom.components.add(part)
        bom.register_dependency(ours, [part])
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def entries(database: Path) -> Iterator[dict[str, Any]]:
    """The entries of an OSV export. Raises ``SupplyError``."""
    if database.is_dir():
        for path in sorted(database.rglob("*.json")):
            yield _entry(path.read_bytes(), str(path))
        return
    try:
        with zipfile.ZipFile(database) as packed:
            for info in packed.infolist():
                if info.filename.endswith(".json") and info.file_size <= _MAX_ENTRY_BYTES:
                    yield _entry(packed.read(info), info.filename)
    except (OSError, zipfile.BadZipFile) as error:
        raise SupplyError(f"{database}: expected a folder or zip of OSV entries: {error}") from None


def findings(packages: Iterable[Package], database: Iterable[dict[str, Any]]) -> list[Finding]:
    """What the database says about these packages."""
    have = {(each.ecosystem, canonicalize_name(each.name)): each for each in packages}
    found: set[Finding] = set()
    for entry in database:
        if entry.get("withdrawn"):
            continue
        for affected in entry.get("affected", ()):
            named = affected.get("package", {})
            key = (str(named.get("ecosystem", "")), canonicalize_name(str(named.get("name", ""))))
            one = have.get(key)
            if one is not None and _affects(affected, one.version):
                summary = str(entry.get("summary") or entry.get("details", "")).splitlines()
                found.add(
                    Finding(
                        one.name, one.version, str(entry.get("id")),
                        summary[0][:200] if summary else "", _fixed(affected),
                    )
                )  # fmt: skip
    return sorted(found)


def _affects(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", ()):
        return True
    try:
        ours = Version(version)
    except InvalidVersion:
        return False
    return any(
        _in_range(span.get("events", ()), ours)
        for span in affected.get("ranges", ())
        if span.get("type") in ("ECOSYSTEM", "SEMVER")
    )


def _in_range(events: Iterable[dict[str, str]], ours: Version) -> bool:
    """OSV's own evaluation: the last event at or below our version decides."""
    inside = False
    for event in events:
        for what, text in event.items():
            try:
                at = Version("0") if text == "0" else Version(text)
            except InvalidVersion:
                continue
            if what == "introduced" and ours >= at:
                inside = True
            elif (what == "fixed" and ours >= at) or (what == "last_affected" and ours > at):
                inside = False
    return inside


def _fixed(affected: dict[str, Any]) -> str:
    spans = affected.get("ranges", ())
    fixed = [e["fixed"] for span in spans for e in span.get("events", ()) if "fixed" in e]
    return fixed[-1] if fixed else ""


def _entry(content: bytes, name: str) -> dict[str, Any]:
    try:
        entry = json.loads(content)
    except ValueError:
        raise SupplyError(f"{name} is no OSV entry: not JSON") from None
    if not isinstance(entry, dict) or "id" not in entry:
        raise SupplyError(f"{name} is no OSV entry: it has no id")
    return entry


def _lock_hashes(lock: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    if not lock.exists():
        return {}
    hashes: dict[tuple[str, str], tuple[str, ...]] = {}
    current = ("", "")
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pinned := _PINNED.match(line):
            current = (canonicalize_name(pinned[1]), pinned[2])
        if hashed := _HASH.search(line):
            hashes[current] = (*hashes.get(current, ()), hashed[1])
    return hashes


def _licence(one: metadata.Distribution) -> str:
    said = next(
        (one.metadata[key] for key in ("License-Expression", "License") if key in one.metadata), ""
    )
    return said.splitlines()[0] if said else ""


@app.command()
def sbom(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="file; unset: standard output")
    ] = None,
) -> None:
    """The bill of materials, CycloneDX 1.6 JSON: Python packages with their hashes, and the pages'."""
    try:
        text = bill([*installed(), *front_end()])
        if out is None:
            typer.echo(text)
            return
        out.write_text(text + "\n", encoding="utf-8")
    except (SupplyError, OSError) as error:
        _fail(error)
    typer.echo(f"wrote {out}")


@app.command()
def check(
    database: Annotated[Path, typer.Option(help="folder or zip of OSV entries; may be days old")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare what is installed with a database of known vulnerabilities; exit code 1 if one fits."""
    packages = [*installed(), *front_end()]
    try:
        known = list(entries(database))
        found = findings(packages, known)
    except SupplyError as error:
        _fail(error)
    if as_json:
        counts = {"packages": len(packages), "entries": len(known)}
        typer.echo(json.dumps({**counts, "findings": [asdict(each) for each in found]}))
    else:
        for each in found:
            mend = f"fixed in {each.fixed}" if each.fixed else "no fixed version is named"
            typer.echo(f"{each.package} {each.version}: {each.entry} {each.summary} ({mend})")
        typer.echo(f"{len(packages)} packages, {len(known)} entries, {len(found)} findings")
    if not known:
        _fail(SupplyError(f"{database} holds no entry: nothing was compared"))
    if found:
        raise typer.Exit(1)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"utaa: {error}", err=True)
    raise typer.Exit(2) from None
