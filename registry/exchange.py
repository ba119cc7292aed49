"""A register from a file: all of it or nothing, and the same file again changes nothing.

One import's journey: read (``register_file``) → check every column (``register_rows``) → check what
refers to what, against the file and the database → apply in one transaction with one audit entry. All
problems come at once, each by file, line, column and what was expected. A file adds and changes; it
never removes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from edge.wire.identity import detector_id, new_id
from registry import audit
from registry.db import Database
from registry.households import ADDRESS, merge_contacts, seal_address
from registry.models import Detector, DetectorModel, Household, Site
from registry.register_file import Problem, RegisterRefused, read_register
from registry.register_rows import Checked, Checker, Row
from registry.rights import CONSOLE, Actor
from registry.sealed import Keyring
from registry.shipped import enter_shipped_models
from registry.sites import touch_site
from registry.stays import keep_stay

#: Values in one IN (…).
_CHUNK: Final = 500
#: A file's column → the table's, where they differ.
_RENAMED: Final = {
    "unit": "unit_code", "alarms": "alarm_settings", "outputs": "output_settings", "site": "site_id",
    "model": "model_id",
}  # fmt: skip


@dataclass
class Counts:
    """What became of one kind of row."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass
class ImportResult:
    """What an import did, or would do."""

    file: str
    sha256: str
    dry_run: bool
    sites: Counts = field(default_factory=Counts)
    models: Counts = field(default_factory=Counts)
    households: Counts = field(default_factory=Counts)
    detectors: Counts = field(default_factory=Counts)

    @property
    def changes(self) -> int:
        kinds = (self.sites, self.models, self.households, self.detectors)
        return sum(counts.created + counts.changed for counts in kinds)


class _DryRun(Exception):
    """Rolls the transaction back on purpose."""


async def import_register(
    database: Database,
    keyring: Keyring,
    path: Path,
    *,
    now_us: int,
    actor: Actor = CONSOLE,
    origin: str = "console",
    dry_run: bool = False,
) -> ImportResult:
    """Take the file's register. Raises ``RegisterRefused`` with every problem, and takes nothing."""
    checker = Checker(path.name)
    checked, digest = await asyncio.to_thread(_read, path, checker)
    result = ImportResult(path.name, digest, dry_run)
    try:
        async with database.write() as session:
            await enter_shipped_models(session)
            applier = _Applier(session, keyring, result, now_us)
            await applier.load(checked)
            applier.check_references(checked, checker)
            if checker.problems:
                raise RegisterRefused(sorted(checker.problems, key=_by_line))
            await applier.apply(checked)
            if dry_run:
                raise _DryRun
            if result.changes:
                await audit.append(
                    session, actor=actor, origin=origin, action="register.import",
                    object_kind="file", object_id=path.name, now_us=now_us, after=_summary(result),
                )  # fmt: skip
    except _DryRun:
        pass
    return result


def _read(path: Path, checker: Checker) -> tuple[Checked, str]:
    checked = checker.check(read_register(path))
    return checked, hashlib.sha256(path.read_bytes()).hexdigest()


def _by_line(problem: Problem) -> tuple[int, str]:
    return problem.line, problem.column


def _summary(result: ImportResult) -> dict[str, Any]:
    kinds = ("sites", "models", "households", "detectors")
    return {"sha256": result.sha256} | {kind: vars(getattr(result, kind)) for kind in kinds}


class _Applier:
    """One import inside its transaction."""

    def __init__(
        self, session: AsyncSession, keyring: Keyring, result: ImportResult, now_us: int
    ) -> None:
        self._session = session
        self._keyring = keyring
        self._result = result
        self._now_us = now_us
        self._sites: dict[str, Site] = {}
        self._models: dict[str, DetectorModel] = {}
        self._homes: dict[str, Household] = {}
        self._detectors: dict[str, Detector] = {}
        self._touched: set[str] = set()
        self._moved: list[tuple[Detector, bool]] = []

    async def load(self, checked: Checked) -> None:
        """What the database has of everything the file names."""
        every = [*checked.sites, *checked.models, *checked.households, *checked.detectors]
        site_ids = _said(checked.sites, "id") | _said(every, "site")
        self._sites = {row.id: row for row in await self._find(Site, Site.id, site_ids)}
        model_ids = _said(checked.models, "id") | _said(checked.detectors, "model")
        models = await self._find(DetectorModel, DetectorModel.id, model_ids)
        self._models = {row.id: row for row in models}
        labels = _said(checked.households, "label") | _said(checked.detectors, "household")
        homes = await self._find(Household, Household.label, labels)
        self._homes = {row.label: row for row in homes}
        ids = {own_id for row in checked.detectors if (own_id := _id_of(row))}
        detectors = await self._find(Detector, Detector.id, ids)
        self._detectors = {row.id: row for row in detectors}

    async def _find(
        self, table: Any, column: InstrumentedAttribute[str], keys: Iterable[str]
    ) -> list[Any]:
        found: list[Any] = []
        wanted = sorted(keys)
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            found += await self._session.scalars(select(table).where(column.in_(chunk)))
        return found

    def check_references(self, checked: Checked, checker: Checker) -> None:
        """What is named must be in the file or the database, and fit together."""
        site_ids = self._sites.keys() | _said(checked.sites, "id")
        model_ids = self._models.keys() | _said(checked.models, "id")
        site_of_home = {label: home.site_id for label, home in self._homes.items()}
        for row in checked.households:
            label, site = row.values.get("label"), row.values.get("site")
            if label in site_of_home and site is not None and site != site_of_home[label]:
                checker.problem(row.raw, "site", f"expected {site_of_home[label]!r}, where it hangs")
            site_of_home.setdefault(str(label), str(site))
        for row in [*checked.households, *checked.detectors]:
            if (site := row.values.get("site")) is not None and site not in site_ids:
                checker.problem(row.raw, "site", "expected a site of this file or of the register")
        for row in checked.detectors:
            model, home = row.values.get("model"), row.values.get("household")
            if model is not None and model not in model_ids:
                checker.problem(row.raw, "model", "expected a model of this file or of the register")
            if home is not None and home not in site_of_home:
                checker.problem(row.raw, "household", "expected a household of this file or register")
            elif home is not None and row.values.get("site") not in (None, site_of_home[home]):
                checker.problem(row.raw, "household", f"expected a household of {row.values['site']!r}")

    async def apply(self, checked: Checked) -> None:
        """Everything, in the order in which it refers; then the sites are to be told."""
        for row in checked.models:
            defaults = {"deadline_s": 25 * 3600.0, "maker": "", "senses": [], "alarm_settings": {}}
            known = self._models.get(row.values["id"])
            model = self._put(DetectorModel, known, _columns(row), defaults, self._result.models)
            self._models[model.id] = model
        for row in checked.sites:
            known_site = self._sites.get(row.values["id"])
            site = self._put(Site, known_site, _columns(row), self._site_defaults(), self._result.sites)
            self._sites[site.id] = site
        await self._session.flush()
        for row in checked.households:
            await self._household(row)
        await self._session.flush()
        for row in checked.detectors:
            self._detector(row)
        await self._session.flush()
        self._touched |= await self._sites_of_models(checked)
        await self._session.flush()
        for detector, created in self._moved:
            await keep_stay(self._session, detector, self._now_us, created=created)
        await touch_site(self._session, *self._touched)

    def _site_defaults(self) -> dict[str, Any]:
        return {
            "title": "", "alarm_settings": {}, "output_settings": {}, "config_version": 1,
            "created_us": self._now_us,
        }  # fmt: skip

    def _put(
        self, table: Any, known: Any, columns: dict[str, Any], defaults: dict[str, Any], counts: Counts
    ) -> Any:
        if known is None:
            record = table(**{**defaults, **columns})
            self._session.add(record)
            counts.created += 1
            return record
        changed = {name: value for name, value in columns.items() if getattr(known, name) != value}
        for name, value in changed.items():
            setattr(known, name, value)
        if changed and table is Site:
            self._touched.add(known.id)
        counts.changed += bool(changed)
        counts.unchanged += not changed
        return known

    async def _household(self, row: Row) -> None:
        columns = _columns(row)
        address = columns.pop("address", None)
        home = self._homes.get(row.values["label"])
        counts = Counts()
        if home is None:
            columns |= {"id": new_id(), "address": seal_address(self._keyring, address)}
        elif address is not None and address != self._address_of(home):
            columns["address"] = seal_address(self._keyring, address)
        defaults = {"language": "mn", "created_us": self._now_us}
        home = self._put(Household, home, columns, defaults, counts)
        self._homes[home.label] = home
        if row.contacts:
            await self._session.flush()
            merged = await merge_contacts(self._session, self._keyring, home.id, row.contacts)
            if merged and counts.unchanged:
                counts = Counts(changed=1)
        _add(self._result.households, counts)

    def _address_of(self, home: Household) -> str | None:
        return self._keyring.open(home.address, ADDRESS) if home.address else None

    def _detector(self, row: Row) -> None:
        columns = _columns(row)
        label = columns.pop("household", None)
        if label is not None:
            columns["household_id"] = self._homes[label].id
        own_id = _id_of(row)
        known = self._detectors.get(own_id)
        columns["id"] = own_id
        if known is None or known.status == "unregistered":  # a retired one stays retired
            columns |= {"status": "in_service", "registered_us": self._now_us}
        counts = Counts()
        detector = self._put(Detector, known, columns, {"place": "", "alarm_settings": {}}, counts)
        if not counts.unchanged:
            self._moved.append((detector, bool(counts.created)))
        if not counts.unchanged:
            self._touched.add(columns["site_id"])
        _add(self._result.detectors, counts)

    async def _sites_of_models(self, checked: Checked) -> set[str]:
        if not self._result.models.changed:
            return set()
        model_ids = sorted(_said(checked.models, "id"))
        sites: set[str] = set()
        for start in range(0, len(model_ids), _CHUNK):
            chunk = model_ids[start : start + _CHUNK]
            query = select(Detector.site_id).where(Detector.model_id.in_(chunk)).distinct()
            sites |= set(await self._session.scalars(query))
        return sites


def _said(rows: Iterable[Row], column: str) -> set[str]:
    return {row.values[column] for row in rows if row.values.get(column) is not None}


def _columns(row: Row) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in row.values.items()}


def _id_of(row: Row) -> str:
    """The detector's id; empty while a column it needs is wrong."""
    names = [row.values.get(name) for name in ("site", "source", "address")]
    return "" if None in names else detector_id(*map(str, names))


def _add(total: Counts, more: Counts) -> None:
    total.created += more.created
    total.changed += more.changed
    total.unchanged += more.unchanged
