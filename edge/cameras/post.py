"""The camera watch as a process beside the agent: ``python -m edge.cameras.post``.

Cast: ``Post`` (roster → watchman; reports → lines), ``Ears`` (the site's broker, for what others say).
The agent writes a ``Watch`` a line to stdin, we write ``CameraReport`` lines to stdout; when stdin
ends, so do we. Settings with passwords come by the pipe and by the site's own file, and go nowhere
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import Any, Final

import aiomqtt
import msgspec
import structlog

from edge.cameras.errors import CameraError, need
from edge.cameras.roster import Listed, load, roster
from edge.settings import CameraWatchSettings
from edge.wire.cameras import CameraAlarm, CameraReport, Watch
from edge.wire.errors import WireError
from edge.wire.identity import cameras_id
from edge.wire.messages import CameraFact

log = structlog.get_logger()

EXIT_HOPELESS: Final = 3
#: One ``Watch`` of 5,000 cameras is about 1 MB.
MAX_LINE_BYTES: Final = 8 << 20
COUNTERS_EVERY_S: Final = 20.0
#: What stands is said again this often, so that nothing that was lost stays lost.
REPEAT_EVERY_S: Final = 60.0
_RECONNECT_S: Final = 5.0


class Post:
    """Watches what it is told to. ``write`` takes a line."""

    def __init__(self, write: Any) -> None:
        from edge.cameras.prober import Prober
        from edge.cameras.states import Settings
        from edge.cameras.watchman import Pace, Watchman

        self._types = (Settings, Pace, Watchman, Prober)
        self._write = write
        self._watch: Watch | None = None
        self._watchman: Any = None
        self._listed: dict[str, Listed] = {}
        self._names: dict[str, str] = {}
        self._network: tuple[str, ...] = ()
        self._lost: set[str] = set()
        self._devices: dict[str, Any] = {}
        self._prober: Any = None

    def say(self, report: CameraReport) -> None:
        self._write(msgspec.json.encode(report) + b"\n")

    # -- what is watched ----------------------------------------------------------------------

    def cameras(self, watch: Watch) -> list[Any]:
        """The cameras of these settings, ready to watch. Raises ``CameraError``."""
        from edge.cameras.outcome import Registered
        from edge.cameras.references import References
        from edge.cameras.states import Settings, State
        from edge.cameras.watchman import Camera

        wanted = CameraWatchSettings.model_validate(watch.settings)
        default, entries = load(wanted.file)
        listed = roster(watch.site, default, entries, watch.cameras)
        self._listed = {one.id: one for one in listed}
        self._names = {
            name: one.id for one in listed for name in (one.id, one.name, *one.entry.heard_as)
        }
        result = []
        for one in listed:
            entry = one.entry
            own = Path(entry.references) if entry.references else Path(watch.data_dir) / one.id
            registered = Registered(
                codec=entry.codec, width=entry.width, height=entry.height, rate_fps=entry.rate_fps,
                bitrate_kbps=entry.bitrate_kbps,
            )  # fmt: skip
            settings = Settings(
                registered=registered, scale=wanted.patience, offline_hold_s=entry.offline_hold_s
            )
            result.append(
                Camera(
                    one.id, one.url, settings, References(own), State(maintenance=entry.maintenance),
                    probed=entry.probe and bool(one.url), every_s=entry.interval_s,
                    learns=wanted.learn and not entry.references,
                )
            )  # fmt: skip
        return result

    def take(self, watch: Watch) -> None:
        """New settings; those who stay keep what is known of them. Raises ``CameraError``."""
        from edge.cameras.prober import probes_at_once

        cameras = self.cameras(watch)
        self._watch = watch
        if self._watchman is not None:
            self._watchman.take_cameras(cameras)
        if self._prober is not None and not watch.settings.get("threads"):
            self._prober.widen(probes_at_once(len(cameras)))
        self.say(CameraReport(roster=[camera.name for camera in cameras]))

    # -- running ------------------------------------------------------------------------------

    async def run(self, watch: Watch) -> None:
        """Watch until cancelled."""
        from edge.cameras.prober import probes_at_once

        _, pace_of, watchman_of, prober_of = self._types
        wanted = CameraWatchSettings.model_validate(watch.settings)
        pace = pace_of(calm_s=wanted.interval_s).times(wanted.patience)
        cameras = self.cameras(watch)
        threads = wanted.threads or probes_at_once(len(cameras))
        async with prober_of(threads=threads) as prober:
            self._prober = prober
            self._watchman = watchman_of(
                cameras, prober, self._report, pace=pace, scale=wanted.patience
            )
            self.take(watch)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watchman.run(), name="watchman")
                group.create_task(self._count(prober), name="counters")
                group.create_task(self._repeat(), name="what stands")
                if watch.broker is not None:
                    group.create_task(self._listen(watch.broker), name="ears")
                if wanted.onvif:
                    group.create_task(self._ask_devices(), name="ONVIF")

    async def _count(self, prober: Any) -> None:
        while True:
            await asyncio.sleep(COUNTERS_EVERY_S)
            watchman = self._watchman
            counters = dict(watchman.counters)
            counters["cameras"] = len(watchman.cameras)
            counters["lost"] = len(watchman.losses.lost_s)
            counters["worker_restarts"] = prober.restarts
            self.say(CameraReport(counters=counters))

    async def _repeat(self) -> None:
        """An agent that has just started again learns what stands."""
        while True:
            await asyncio.sleep(REPEAT_EVERY_S)
            for camera in self._watchman.cameras:
                alarms = self._standing(camera)
                if alarms:
                    self.say(CameraReport(alarms=alarms))

    # -- what is told -------------------------------------------------------------------------

    def _report(self, report: Any) -> None:
        if report.camera is None:
            self._report_network(report)
            return
        camera = next(c for c in self._watchman.cameras if c.name == report.camera)
        if report.kind == "camera_offline":
            (self._lost.add if report.transition == "raise" else self._lost.discard)(camera.name)
        fact = self._fact(camera)
        self.say(CameraReport(alarms=self._standing(camera), fact=fact, transition=report.transition))
        camera.picture = camera.reference = None

    def _report_network(self, report: Any) -> None:
        """Many lost at once are one alarm of the site; each of them is none by itself."""
        assert self._watch is not None
        gone = report.transition == "raise"
        count, total = len(report.cameras), len(self._watchman.cameras)
        self._network = report.cameras if gone else ()
        reason = (
            f"{count} of {total} cameras were lost at once: their network or its power"
            if gone else f"the {count} cameras that were lost at once are back"
        )  # fmt: skip
        if not gone and self._watchman.losses.told:
            reason = "most of the cameras that were lost at once are back; the others are told alone"
        alarm = CameraAlarm(
            detector=cameras_id(self._watch.site), kind="camera_offline",
            transition=report.transition, reason=reason,
            values={"cameras": float(count), "watched": float(total)}, members=list(report.cameras),
        )  # fmt: skip
        self.say(CameraReport(alarms=[alarm]))

    def _standing(self, camera: Any) -> list[CameraAlarm]:
        """Both alarms of a camera as they stand; none where nothing is known yet."""
        facts = camera.state.facts
        if not facts or camera.state.maintenance:
            return []
        alarms = []
        reachable = facts.get("reachable")
        if camera.name in self._lost:
            alarms.append(self._alarm(camera, "camera_offline", "raise", reachable.reason))
        elif reachable is not None and reachable.good and camera.name not in self._network:
            alarms.append(self._alarm(camera, "camera_offline", "clear", "it answers again"))
        bad = [fact for fact in camera.state.bad if fact != "reachable"]
        if bad:
            reason = "; ".join(dict.fromkeys(facts[fact].reason for fact in bad))
            alarms.append(self._alarm(camera, "camera_fault", "raise", reason))
        elif any(s.good for fact, s in facts.items() if fact != "reachable"):
            alarms.append(self._alarm(camera, "camera_fault", "clear", "its picture is well again"))
        return alarms

    def _alarm(self, camera: Any, kind: Any, transition: Any, reason: str) -> CameraAlarm:
        values = {}
        if transition == "raise" and camera.last is not None and camera.last.rate_fps is not None:
            values["rate_fps"] = camera.last.rate_fps
        return CameraAlarm(
            detector=camera.name, kind=kind, transition=transition, reason=reason[:500], values=values
        )

    def _fact(self, camera: Any) -> CameraFact:
        from edge.cameras.talk import Address

        state, said = camera.state, {}
        for fact, standing in state.facts.items():
            said[fact] = standing.good
        last = next((s.reason for f, s in state.facts.items() if s.good is False and s.reason), "")
        try:
            address = str(Address.parse(camera.url))
        except ValueError:
            address = ""
        pictures: dict[str, Any] = {}
        assert self._watch is not None
        if self._watch.settings.get("pictures") == "send" and state.bad:
            pictures = {"picture": camera.picture, "reference": camera.reference}
        return CameraFact(
            camera=camera.name, address=address[:200], summary=state.summary, reason=last[:500],
            evidence=dict(camera.evidence), **said, **pictures,
            **self._said_of_itself(camera.name),
        )  # fmt: skip

    def _said_of_itself(self, name: str) -> dict[str, Any]:
        said = self._devices.get(name)
        if said is None:
            return {}
        return {n: getattr(said, n) for n in ("maker", "model", "firmware", "serial")}

    # -- what others say, and what cameras say of themselves ------------------------------------

    async def _listen(self, broker: dict[str, Any]) -> None:
        from edge.cameras.heard import FILTERS, hear

        while True:
            try:
                async with _client(broker) as client:
                    for topic in FILTERS:
                        await client.subscribe(topic, qos=0)
                    async for message in client.messages:
                        if message.retain:
                            continue  # last-known state turns nothing
                        payload = message.payload if isinstance(message.payload, bytes) else b""
                        try:
                            now_us = time.time_ns() // 1000
                            seen = hear(str(message.topic), payload, now_us)
                        except WireError as error:
                            self._watchman.counters[f"heard_{error.reason}"] += 1
                            continue
                        for name, observation in seen.items():
                            self._watchman.hear(self._names.get(name, name), observation)
            except (aiomqtt.MqttError, OSError) as error:
                log.warning("cameras.broker_away", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _ask_devices(self) -> None:
        from edge.cameras.onvif import ask_all

        entries = {name: one.entry for name, one in self._listed.items()}
        await ask_all(self._watchman, entries, self._devices)


def _client(broker: dict[str, Any]) -> aiomqtt.Client:
    password = None
    if broker.get("password_file"):
        password = Path(broker["password_file"]).read_text(encoding="utf-8").strip()
    tls = None
    if broker.get("tls"):
        tls = aiomqtt.TLSParameters(
            ca_certs=broker.get("ca_file"),
            certfile=broker.get("cert_file"),
            keyfile=broker.get("key_file"),
        )
    return aiomqtt.Client(
        broker["host"], broker["port"], username=broker.get("username"), password=password,
        tls_params=tls, logger=logging.getLogger("edge.cameras.mqtt"),
    )  # fmt: skip


async def _main() -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = sys.stdout.buffer

    def write(line: bytes) -> None:
        out.write(line)
        out.flush()

    try:
        for module in ("cv2", "av"):
            need(module)
        need("cv2").setNumThreads(1)
        await _serve(reader, write)
    except (CameraError, ExceptionGroup) as error:
        hopeless = _hopeless(error)
        if hopeless is None:
            raise
        write(msgspec.json.encode(CameraReport(problem=str(hopeless))) + b"\n")
        return EXIT_HOPELESS
    return 0


async def _serve(reader: asyncio.StreamReader, write: Any) -> None:
    """Until the agent ends, or something does that should not."""
    first = msgspec.json.decode(await reader.readline(), type=Watch)
    post = Post(write)
    running = asyncio.create_task(post.run(first), name="post")
    changes = asyncio.create_task(_changes(reader, post), name="settings")
    done, pending = await asyncio.wait({running, changes}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


def _hopeless(error: Exception) -> CameraError | None:
    """What somebody has to mend before the watch can run; None for a bug."""
    if isinstance(error, ExceptionGroup):
        return next((h for e in error.exceptions if (h := _hopeless(e)) is not None), None)
    return error if isinstance(error, CameraError) else None


async def _changes(reader: asyncio.StreamReader, post: Post) -> None:
    """New settings of the agent; its end is ours."""
    while line := await reader.readline():
        watch = msgspec.json.decode(line, type=Watch)
        try:
            post.take(watch)
        except CameraError as error:  # the last good ones stay
            log.error("cameras.settings_refused", error=str(error))


def main() -> None:
    """Until stdin ends."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        sys.exit(asyncio.run(_main()))


if __name__ == "__main__":
    main()
