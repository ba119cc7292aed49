"""Who is looked at when: many cameras, cheap probes often, full looks seldom or on suspicion.

``Plan`` is pure: it says which cameras are due and when the next one is. ``Watchman`` runs it: each due
camera is probed by the ``Prober`` (bounded threads), never two at once on one host beyond its limit, a
slow camera holds only its own place. What comes out: ``Report`` for every turned fact; when most
cameras
of a watchman turn unreachable together it is one report, ``network_lost``, and not one for each.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from edge.cameras.judge import Judge
from edge.cameras.outcome import Probed
from edge.cameras.pictures import decode, find, read
from edge.cameras.prober import Prober
from edge.cameras.states import (
    Change,
    Observation,
    Settings,
    State,
    from_probe,
    from_verdict,
    step,
)
from edge.cameras.stream import Depth, Request
from edge.cameras.talk import Address

log = structlog.get_logger()

#: Seconds between probes of a camera that is well, in doubt, and known to be bad.
CALM_S: Final = 30.0
DOUBT_S: Final = 8.0
BAD_S: Final = 20.0
#: A full look at the picture after so long without one.
FULL_S: Final = 600.0
#: Up to this share earlier or later, so that cameras do not march in step.
JITTER: Final = 0.1
#: At once on one host: recorders that serve many cameras refuse more.
PER_HOST: Final = 4
#: Lost at once within this window, and this share of all: it is the network.
NETWORK_WINDOW_S: Final = 20.0
NETWORK_SHARE: Final = 0.5
NETWORK_LEAST: Final = 5
#: Keyframes in a row with the same bytes before it counts as the same picture.
REPEATS: Final = 3


@dataclass(slots=True)
class Camera:
    """One camera under watch. ``url`` may hold credentials: never printed."""

    name: str
    url: str = field(repr=False)
    settings: Settings = field(default_factory=Settings)
    references: Path | None = None
    state: State = field(default_factory=State)
    last: Probed | None = None
    verdict: str | None = None
    due_s: float = 0.0
    full_due_s: float = 0.0
    busy: bool = False
    hashes: list[str] = field(default_factory=list)
    judge: Judge | None = None

    @property
    def host(self) -> str:
        try:
            return Address.parse(self.url).host
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class Report:
    """Something turned: one fact of one camera, or ``camera`` None for the network of all of them."""

    camera: str | None
    change: Change | None
    kind: str
    cameras: tuple[str, ...] = ()


class Watchman:
    """Watches cameras until cancelled. ``report`` is called for every turn, in the loop's thread."""

    def __init__(
        self,
        cameras: Iterable[Camera],
        prober: Prober,
        report: Callable[[Report], None],
        *,
        calm_s: float = CALM_S,
        doubt_s: float = DOUBT_S,
        chance: random.Random | None = None,
    ) -> None:
        self.cameras = list(cameras)
        self._prober, self._report = prober, report
        self._calm_s, self._doubt_s = calm_s, doubt_s
        self._chance = chance or random.Random()  # noqa: S311  # for spreading, not for secrets
        self._hosts: Counter[str] = Counter()
        self._lost: dict[str, float] = {}
        self._held: dict[str, Change] = {}
        self.network_lost = False

    async def run(self) -> None:
        now = time.monotonic()
        for camera in self.cameras:
            camera.due_s = now + self._chance.uniform(0, min(self._calm_s, 5.0))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle_losses(), name="cameras: network losses")
            while True:
                now = time.monotonic()
                for camera in self.due(now):
                    camera.busy = True
                    self._hosts[camera.host] += 1
                    group.create_task(self._visit(camera), name=f"camera {camera.name}")
                await asyncio.sleep(0.2)

    def due(self, now: float) -> list[Camera]:
        """Cameras to visit now, the longest overdue first, within each host's limit."""
        room = Counter(self._hosts)
        chosen = []
        for camera in sorted(self.cameras, key=lambda c: c.due_s):
            if camera.due_s > now:
                break
            if not camera.busy and room[camera.host] < PER_HOST:
                room[camera.host] += 1
                chosen.append(camera)
        return chosen

    async def _visit(self, camera: Camera) -> None:
        try:
            await self.look(camera)
        finally:
            camera.busy = False
            self._hosts[camera.host] -= 1
            summary = camera.state.summary
            step_s = (
                self._doubt_s if camera.state.in_doubt or self._suspicious(camera)
                else min(BAD_S, self._calm_s) if summary in ("faulty", "degraded") else self._calm_s
            )  # fmt: skip
            camera.due_s = time.monotonic() + step_s * self._chance.uniform(1 - JITTER, 1 + JITTER)

    def _suspicious(self, camera: Camera) -> bool:
        return camera.verdict not in (None, "ok", "unknown")

    async def look(self, camera: Camera) -> list[Change]:
        """One visit: probe, judge the picture where there are references, take in what it says."""
        now = time.monotonic()
        bad = camera.state.in_doubt or camera.state.summary in ("faulty", "degraded")
        full = camera.references is not None and (now >= camera.full_due_s or bad)
        depth: Depth = "full" if full else "cheap"
        probed = await self._prober.probe(
            Request(id=0, url=camera.url, depth=depth, watch_s=1.5, want_picture=full)
        )
        at_us = time.time_ns() // 1000
        camera.last = probed
        camera.hashes = [*camera.hashes, *probed.keyframe_hashes][-REPEATS:]
        repeated = len(camera.hashes) == REPEATS and len(set(camera.hashes)) == 1
        changes = self._take(
            camera, from_probe(probed, camera.settings.registered, at_us, repeated=repeated)
        )
        if probed.outcome == "reachable" and not repeated:
            standing = camera.state.facts.get("changing")
            if standing is not None and (standing.good is False or standing.doubts):
                changes += self._take(camera, Observation(at_us, {"changing": True}, "new pictures"))
        if full and probed.picture is not None:
            changes += await self._judge(camera, probed.picture, at_us)
            camera.full_due_s = now + FULL_S
        for change in changes:
            self._tell(camera, change)
        return changes

    async def _judge(self, camera: Camera, jpeg: bytes, at_us: int) -> list[Change]:
        if camera.judge is None and camera.references is not None:
            camera.judge = await asyncio.to_thread(_load, camera.references)
        if camera.judge is None:
            return []
        said = await asyncio.to_thread(camera.judge.judge, decode(jpeg))
        camera.verdict = said.verdict
        return self._take(camera, from_verdict(said.verdict, said.confidence, said.evidence, at_us))

    def _take(self, camera: Camera, seen: Observation) -> list[Change]:

        camera.state, changes = step(camera.state, seen, camera.settings)
        return changes

    def _tell(self, camera: Camera, change: Change) -> None:
        log.info(
            "camera.turned", camera=camera.name, fact=change.fact, transition=change.transition,
            reason=change.reason,
        )  # fmt: skip
        if change.kind != "camera_offline":
            self._report(Report(camera.name, change, change.kind))
        elif change.transition == "raise":
            self._lost[camera.name] = time.monotonic()
            self._held[camera.name] = change
        else:
            self._lost.pop(camera.name, None)
            if self._held.pop(camera.name, None) is None and not self.network_lost:
                self._report(Report(camera.name, change, change.kind))
            if self.network_lost and not self._lost:
                self.network_lost = False
                self._report(Report(None, None, "network_back", tuple(c.name for c in self.cameras)))

    async def _settle_losses(self) -> None:
        """Cameras lost are held for a moment: are they many?"""
        wait_s = min(NETWORK_WINDOW_S, self._calm_s) / 4
        while True:
            await asyncio.sleep(0.2)
            self.settle(time.monotonic(), wait_s)

    def settle(self, now: float, wait_s: float) -> None:
        """Report the losses that have waited ``wait_s``: together if they are the network's."""
        most = max(NETWORK_LEAST, int(len(self.cameras) * NETWORK_SHARE))
        if not self.network_lost and len(self._lost) >= most and self._held:
            self.network_lost = True
            self._report(Report(None, None, "network_lost", tuple(sorted(self._lost))))
        if self.network_lost:
            self._held.clear()
            return
        for name in [n for n in self._held if now - self._lost.get(n, now) >= wait_s]:
            self._report(Report(name, self._held.pop(name), "camera_offline"))


def _load(folder: Path) -> Judge | None:
    pictures = [read(path) for path in find(folder)]
    return Judge.trained(pictures) if pictures else None
