"""Who is looked at when: many cameras, cheap probes often, full looks seldom or on suspicion.

A visit: one probe (``prober``) with a glance at its first picture → facts (``states``). What the visit
is for decides how deep it goes (``Watchman.wanted``): a glance that is like no good one, a fact in
doubt, or ten minutes without a look bring the picture along, and the judge looks at it; half an hour
without a film, or pictures in which not even grain moves, bring a film along for the frozen check. What
others say (``hear``) goes into the same facts. ``losses`` decides whether one camera is lost or the
network.

A slow camera holds only its own place; a host has no more than ``PER_HOST`` visits at once. ``report``
is called, in the loop's thread, for every fact that turned and every loss.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from edge.cameras.film import frozen
from edge.cameras.glance import KEPT, still, strange
from edge.cameras.judge import Judge, Judgement
from edge.cameras.losses import Losses
from edge.cameras.outcome import Glance, Probed
from edge.cameras.pictures import BadPicture, Picture, decode
from edge.cameras.prober import Prober
from edge.cameras.references import FIRST_EVERY_S, References
from edge.cameras.states import (
    LOOKED_AT,
    Change,
    Observation,
    Settings,
    State,
    from_probe,
    from_verdict,
    maintenance,
    step,
)
from edge.cameras.stream import Depth, Request
from edge.cameras.talk import Address
from edge.cameras.thumbnails import nearest, thumbnail

log = structlog.get_logger()

#: At once on one host: recorders that serve many cameras refuse more.
PER_HOST: Final = 4
#: Keyframes in a row with the same bytes before it counts as the same picture.
REPEATS: Final = 3
#: Judges kept in memory at once, the longest unused goes: each about 9 MB, read again in 10 ms.
JUDGES: Final = 8
#: A camera is judged beside its last good pictures, of the last hour: what is new since then is a
#: fault, what came with the weather is there too. So less is needed against ok than by itself.
RECENT: Final = 2
RECENT_S: Final = 3600.0
RECENT_EVERY_S: Final = 300.0
SUDDEN: Final = 0.7
#: What comes slowly (dust, a lens that drifts) is told when the lasting references alone find it in
#: every look of more than a day and a night.
SLOW_S: Final = 26 * 3600.0
SLOW_LOOKS: Final = 20
_EXCHANGED: Final = "another server answers at its address"
#: Glances in a row without any grain that moves, before a film is asked for.
STILL: Final = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between visits of a camera: well, in doubt whether it is there, in doubt about its
    picture, known to be bad; and the longest time without a full look, and without a film.
    """

    calm_s: float = 24.0
    doubt_s: float = 1.5
    look_s: float = 14.0
    bad_s: float = 20.0
    full_s: float = 600.0
    film_s: float = 1800.0
    #: Up to this share earlier, so that cameras do not march in step.
    jitter: float = 0.1

    def times(self, scale: float) -> Pace:
        """The same, slower or faster; the interval between probes is set by itself."""
        return Pace(
            self.calm_s, self.doubt_s * scale, self.look_s * scale, self.bad_s * scale,
            self.full_s * scale, self.film_s * scale, self.jitter,
        )  # fmt: skip


@dataclass(slots=True)
class Camera:
    """One camera under watch. ``url`` may hold credentials: never printed."""

    name: str
    url: str = field(repr=False)
    settings: Settings = field(default_factory=Settings)
    references: References | None = None
    state: State = field(default_factory=State)
    #: heard only: nobody asks it, others tell
    probed: bool = True
    #: between probes while it is well; None: as all
    every_s: float | None = None
    learns: bool = False
    last: Probed | None = None
    verdict: str | None = None
    due_s: float = 0.0
    full_due_s: float = 0.0
    film_due_s: float = 0.0
    busy: bool = False
    hashes: list[str] = field(default_factory=list)
    good: list[Glance] = field(default_factory=list)
    before: Glance | None = None
    stills: int = 0
    suspicion: str | None = None
    good_since_s: float | None = None
    #: JPEG thumbnails of the last judged picture and of a reference of the same light
    picture: bytes | None = None
    reference: bytes | None = None
    #: the numbers behind the last change
    evidence: dict[str, float] = field(default_factory=dict)
    reported: bool = False
    #: the last good pictures (wall time, JPEG), and since when the lasting references find a fault
    recent: list[tuple[float, bytes]] = field(default_factory=list)
    slow_since_s: float | None = None
    slow_looks: int = 0
    #: what asking it by ONVIF found not to be as registered
    findings: tuple[str, ...] = ()
    #: the server at its address presents itself as another one than at commissioning
    exchanged: bool = False

    @property
    def host(self) -> str:
        try:
            return Address.parse(self.url).host
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class Report:
    """Something turned. ``kind``: camera_fault, camera_offline, network_lost, network_back, or state
    (a camera is known for the first time). ``cameras``: those of a network's loss.
    """

    camera: str | None
    change: Change | None
    kind: str
    cameras: tuple[str, ...] = ()
    transition: str = "raise"


class Watchman:
    """Watches cameras until cancelled."""

    def __init__(
        self,
        cameras: Iterable[Camera],
        prober: Prober,
        report: Callable[[Report], None],
        *,
        pace: Pace | None = None,
        chance: random.Random | None = None,
        scale: float = 1.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.cameras = list(cameras)
        self._by_name = {camera.name: camera for camera in self.cameras}
        self._prober, self._report, self._wall = prober, report, wall
        self.pace = pace or Pace()
        self._chance = chance or random.Random()  # noqa: S311  # for spreading, not for secrets
        self._hosts: Counter[str] = Counter()
        self._judges: OrderedDict[str, tuple[int, Judge | None]] = OrderedDict()
        self._judging = asyncio.Semaphore(2)
        self.losses = Losses({c.name for c in self.cameras}, scale=scale)
        self.counters: Counter[str] = Counter()

    @property
    def network_lost(self) -> bool:
        """Whether most cameras were lost together and are not back."""
        return self.losses.network

    def take_cameras(self, cameras: Iterable[Camera]) -> None:
        """Watch these from now on; who stays keeps what is known of it."""
        kept = []
        for camera in cameras:
            known = self._by_name.get(camera.name)
            if known is not None and known.url == camera.url:
                known.settings, known.learns = camera.settings, camera.learns
                known.probed, known.every_s = camera.probed, camera.every_s
                known.state = maintenance(known.state, camera.state.maintenance)
                camera = known
            kept.append(camera)
        self.cameras, self._by_name = kept, {camera.name: camera for camera in kept}
        self.losses.watch(self._by_name)

    async def run(self, *, steady: bool = False) -> None:
        """Visit them, each in its time. ``steady``: as if it had run for long (for a bench)."""
        now, pace, spread = time.monotonic(), self.pace, self._chance.uniform
        for camera in self.cameras:
            camera.due_s = now + spread(0, pace.calm_s if steady else min(pace.calm_s, 5.0))
            # the first films are spread over their interval, so that a start is no rush
            camera.film_due_s = now + spread(0.0 if steady else 0.2, 1.0) * pace.film_s
            if steady:
                camera.full_due_s = now + spread(0, 1) * pace.full_s
        async with asyncio.TaskGroup() as group:
            while True:
                now = time.monotonic()
                for camera in self.due(now):
                    camera.busy = True
                    self._hosts[camera.host] += 1
                    group.create_task(self._visit(camera, camera.host), name=f"camera {camera.name}")
                self.settle(now)
                await asyncio.sleep(0.2)

    def due(self, now: float) -> list[Camera]:
        """Cameras to visit now, the longest overdue first, within each host's limit."""
        room = Counter(self._hosts)
        chosen = []
        for camera in sorted(self.cameras, key=lambda c: c.due_s):
            if camera.due_s > now:
                break
            if not camera.busy and camera.probed and room[camera.host] < PER_HOST:
                room[camera.host] += 1
                chosen.append(camera)
        return chosen

    async def _visit(self, camera: Camera, host: str) -> None:
        try:
            await self.look(camera)
        except Exception as error:  # one camera's surprise must not end the watch over the others
            # the type alone: a text may hold the address
            log.error("camera.visit_failed", camera=camera.name, error=type(error).__name__)
            self.counters["failed_visits"] += 1
        finally:
            camera.busy = False
            self._hosts[host] -= 1
            camera.due_s = time.monotonic() + self._pause_s(camera)

    def _pause_s(self, camera: Camera) -> float:
        pace, state = self.pace, camera.state
        step_s = pace.calm_s if camera.every_s is None else camera.every_s
        if state.bad:
            step_s = min(pace.bad_s, step_s)
        if state.turning(*LOOKED_AT, "changing", "as_registered"):
            step_s = min(pace.look_s, step_s)
        if state.turning("reachable", "advancing") and "reachable" not in state.bad:
            step_s = min(pace.doubt_s, step_s)
        return step_s * self._chance.uniform(1 - pace.jitter, 1)

    def wanted(self, camera: Camera, now: float) -> tuple[Depth, bool]:
        """How deep the next visit goes, and whether it brings the picture."""
        state = camera.state
        if "reachable" in state.bad:
            return "cheap", False
        look = (
            now >= camera.full_due_s or camera.suspicion is not None or state.doubts(*LOOKED_AT)
            or camera.verdict not in (None, "ok", "unknown")
            or (camera.learns and camera.verdict is None)
        )  # fmt: skip
        if state.doubts("changing") or now >= camera.film_due_s or camera.stills >= STILL:
            return "film", look
        full = now >= camera.full_due_s or state.doubts("as_registered", "advancing")
        return ("full" if full else "cheap"), look

    async def look(self, camera: Camera) -> list[Change]:
        """One visit: probe, judge where it is wanted, take in what it says."""
        changes = await self._once(camera)
        if camera.suspicion is not None:  # a glance: look at once
            changes += await self._once(camera)
        return changes

    async def _once(self, camera: Camera) -> list[Change]:
        now = time.monotonic()
        depth, look = self.wanted(camera, now)
        probed = await self._prober.probe(
            Request(
                id=0, url=camera.url, depth=depth, watch_s=6.0 if depth == "film" else 2.5,
                total_s=16.0 if depth == "film" else 6.0, packet_s=3.0, want_picture=look,
            )
        )  # fmt: skip
        self.counters["probes"] += 1
        self.counters[f"probes_{depth}"] += depth != "cheap"
        at_us = int(self._wall() * 1e6)
        camera.last = probed
        suspicion, camera.suspicion = camera.suspicion, None
        changes = self._take_probe(camera, probed, at_us)
        if probed.outcome == "reachable":
            if depth != "cheap":
                camera.full_due_s = now + self.pace.full_s * self._chance.uniform(0.7, 1.0)
            if depth == "film":
                camera.film_due_s, camera.stills = now + self.pace.film_s, 0
                if not self._repeats(camera):  # a loop of film changes, and is frozen all the same
                    changes += self._take_film(camera, probed, at_us)
            judged = look and probed.picture is not None and await self._judge(camera, probed, at_us)
            changes += judged or []
            if not look and suspicion is None:
                self._glance(camera, probed)
        self._after(camera, now, changes)
        return changes

    def _take_probe(self, camera: Camera, probed: Probed, at_us: int) -> list[Change]:
        camera.hashes = [*camera.hashes, *probed.keyframe_hashes][-REPEATS:]
        repeated = self._repeats(camera)
        changes = self._take(
            camera,
            from_probe(
                probed,
                camera.settings.registered,
                at_us,
                repeated=repeated,
                findings=[*self._findings(camera, probed), *_of_the_picture(camera.verdict)],
            ),
        )
        standing = camera.state.facts.get("changing")
        by_bytes = standing is not None and "compressed" in standing.reason
        # what was told of by its bytes is over by them; a stuck sensor is over by a film alone
        if probed.outcome == "reachable" and by_bytes and not repeated:
            changes += self._take(camera, Observation(at_us, {"changing": True}, "new pictures"))
        return changes

    @staticmethod
    def _findings(camera: Camera, probed: Probed) -> tuple[str, ...]:
        """What is known not to be as registered; who answers is learnt at the first full probe."""
        references = camera.references
        if references is None or probed.banner is None:
            return camera.findings if not camera.exchanged else (*camera.findings, _EXCHANGED)
        camera.exchanged = references.banner(probed.banner) != probed.banner
        return (*camera.findings, _EXCHANGED) if camera.exchanged else camera.findings

    @staticmethod
    def _repeats(camera: Camera) -> bool:
        return len(camera.hashes) == REPEATS and len(set(camera.hashes)) == 1

    def _take_film(self, camera: Camera, probed: Probed, at_us: int) -> list[Change]:
        if probed.film.get("groups", 0) < 2:
            return []
        self.counters["films"] += 1
        kind = frozen(probed.film)
        evidence = {k: round(v, 4) for k, v in probed.film.items()}
        reason = "the film changes" if kind is None else f"frozen: {kind[0]} ({kind[1]:.2f})"
        return self._take(camera, Observation(at_us, {"changing": kind is None}, reason, evidence))

    def _glance(self, camera: Camera, probed: Probed) -> None:
        """A reason to look, at once; with references only, for without them nobody can judge."""
        seen = probed.glance
        if seen is None:
            return
        quiet = camera.before is not None and still(seen, camera.before)
        camera.stills, camera.before = (camera.stills + 1 if quiet else 0), seen
        if camera.references is not None and camera.good:
            camera.suspicion = strange(seen, camera.good)
            self.counters["suspicions"] += camera.suspicion is not None

    async def _judge(self, camera: Camera, probed: Probed, at_us: int) -> list[Change]:
        """The judge's word on the picture; learning, thumbnails."""
        jpeg, references = probed.picture, camera.references
        if jpeg is None or references is None:
            return []
        async with self._judging:
            looked = await asyncio.to_thread(self._look_at, camera, references, jpeg, at_us / 1e6)
        if looked is None:
            return []
        said, camera.picture, camera.reference = looked
        self.counters["looks"] += 1
        camera.verdict = said.verdict
        if said.verdict == "ok" and probed.glance is not None:
            camera.good = [*camera.good, probed.glance][-KEPT:]
        seen = from_verdict(said.verdict, said.confidence, said.evidence, at_us)
        changes = self._take(camera, seen)
        if said.verdict != "ok":
            references.doubt()
        elif camera.learns:
            since_s = camera.good_since_s
            references.offer(jpeg, at_us / 1e6, good_since_s=since_s, confidence=said.confidence)
        return changes

    def _look_at(
        self, camera: Camera, references: References, jpeg: bytes, at_s: float
    ) -> tuple[Judgement, bytes | None, bytes | None] | None:
        """In a thread: decode, judge, make the thumbnails of what is not well."""
        try:
            picture = decode(jpeg)
        except BadPicture:
            return None
        if camera.learns:
            references.first(picture, at_s, every_s=FIRST_EVERY_S * camera.settings.scale)
            references.ripen(at_s)
        judge = self._judge_of(camera.name, references)
        if judge is None:
            return None
        said = self._said(camera, judge, picture, at_s)
        if said.verdict == "ok":
            self._keep_recent(camera, jpeg, at_s)
            return said, thumbnail(picture), None
        other: Picture | None = nearest(picture, references.pictures())
        return said, thumbnail(picture), None if other is None else thumbnail(other)

    def _said(self, camera: Camera, judge: Judge, picture: Picture, at_s: float) -> Judgement:
        """Sudden faults beside the last hour's pictures, slow ones by the lasting references alone."""
        look = judge.look(picture)
        slow = judge.judge_look(look)
        if slow.verdict == "ok":
            camera.slow_since_s, camera.slow_looks = None, 0
        else:
            camera.slow_since_s = at_s if camera.slow_since_s is None else camera.slow_since_s
            camera.slow_looks += 1
            lasts_s = (at_s - camera.slow_since_s) / camera.settings.scale
            if lasts_s >= SLOW_S and camera.slow_looks >= SLOW_LOOKS:
                return slow
        recent = [decode(jpeg) for taken_s, jpeg in camera.recent if at_s - taken_s <= RECENT_S]
        if not recent:
            return slow
        return judge.beside(recent).judge_look(look, threshold=SUDDEN)

    def _keep_recent(self, camera: Camera, jpeg: bytes, at_s: float) -> None:
        if not camera.recent or at_s - camera.recent[-1][0] >= RECENT_EVERY_S * camera.settings.scale:
            camera.recent = [*camera.recent, (at_s, jpeg)][-RECENT:]

    def _judge_of(self, name: str, references: References) -> Judge | None:
        known = self._judges.get(name)
        if known is not None and known[0] == references.revision:
            self._judges.move_to_end(name)
            return known[1]
        judge = references.judge()
        if judge is not None:
            self._judges[name] = (references.revision, judge)
            while len(self._judges) > JUDGES:
                self._judges.popitem(last=False)
        return judge

    def hear(self, name: str, seen: Observation) -> list[Change]:
        """What others say of a camera; False facts need the same patience as our own."""
        camera = self._by_name.get(name)
        if camera is None:
            self.counters["heard_unknown"] += 1
            return []
        self.counters["heard"] += 1
        changes = self._take(camera, seen)
        self._after(camera, time.monotonic(), changes)
        if any(good is False for good in seen.facts.values()):
            camera.due_s = 0.0  # go and see
        return changes

    def _take(self, camera: Camera, seen: Observation) -> list[Change]:
        camera.state, changes = step(camera.state, seen, camera.settings)
        return changes

    def _after(self, camera: Camera, now: float, changes: list[Change]) -> None:
        """Good times, losses, reports."""
        state = camera.state
        if state.summary == "ok" and not state.in_doubt:
            since = camera.good_since_s
            camera.good_since_s = self._wall() if since is None else since
        else:
            camera.good_since_s = None
            if camera.references is not None:
                camera.references.doubt()
        lost = "reachable" in state.bad and not state.maintenance
        doubted = state.turning("reachable") and not lost
        if doubted and camera.name not in self.losses.doubted:
            self._ask_the_others(camera, now)
        self.losses.hear(camera.name, doubted=doubted, lost=lost, now_s=now)
        for change in changes:
            camera.evidence = dict(change.evidence)
            log.info(
                "camera.turned", camera=camera.name, fact=change.fact, transition=change.transition,
                reason=change.reason,
            )  # fmt: skip
            if change.kind != "camera_offline":
                self._report(Report(camera.name, change, "camera_fault", transition=change.transition))
        if not camera.reported and state.summary != "unknown":
            camera.reported = True
            self._report(Report(camera.name, None, "state", transition="update"))
        self.settle(now)

    def _ask_the_others(self, camera: Camera, now: float) -> None:
        """One does not answer: a few more are asked at once, so that a network's loss is soon known."""
        others = [c for c in self.cameras if c is not camera and not c.busy and c.due_s > now]
        for other in self._chance.sample(others, min(len(others), max(8, len(others) // 4))):
            other.due_s = min(other.due_s, now + self._chance.uniform(0, 0.5))

    def settle(self, now: float) -> None:
        """Tell what there is to tell of losses."""
        said = self.losses.settle(now)
        if said.network_back:
            self._report(Report(None, None, "network_back", said.network_back, "clear"))
        if said.network_lost:
            self._report(Report(None, None, "network_lost", said.network_lost))
        for names, transition in ((said.lost, "raise"), (said.back, "clear")):
            for name in names:
                self._report(Report(name, None, "camera_offline", transition=transition))


def _of_the_picture(verdict: str | None) -> tuple[str, ...]:
    """What is wrong with a picture and concerns neither light, nor focus, nor place."""
    return (f"its picture is {verdict}",) if verdict in ("noisy", "colour_lost") else ()


def shown(camera: Camera) -> dict[str, Any]:
    """A camera's facts for a person or a program: name, summary, outcome, verdict, and each fact."""
    facts = {str(f): s.good for f, s in camera.state.facts.items() if s.good is not None}
    line: dict[str, Any] = {"camera": camera.name, "summary": camera.state.summary}
    outcome = camera.last.outcome if camera.last else None
    return line | {"outcome": outcome, "verdict": camera.verdict, **facts}
