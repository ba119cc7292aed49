"""The process at a site: intake in its thread, the link on the event loop, housekeeping beside."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import Counter

import structlog

from edge.agent.cameras import CameraWatch
from edge.agent.configuration import BadConfig, ConfigFile, SiteConfig, check, without_names
from edge.agent.core import Core
from edge.agent.intake import Intake
from edge.agent.localpage import local_page_of
from edge.agent.mains import Mains
from edge.agent.orders import Orders
from edge.agent.timeline import AlarmTime, ClockSync, boot_id
from edge.link import BrokerAddress, Ears, Link
from edge.outputs import HomeHub
from edge.settings import BrokerSettings, CameraWatchSettings, EdgeSettings
from edge.sources import Router, build, read_options
from edge.spool import DataFolder, Room, Spool, SpoolFull, Written
from edge.spool.thinning import RULE
from edge.tls import TlsFiles
from edge.wire.cameras import Watch
from edge.wire.clock import US_PER_S, Clock
from edge.wire.messages import Heartbeat

log = structlog.get_logger()

#: Old rows are dropped and room is made this often (real seconds).
HOUSE_EVERY_S = 30.0
#: While telemetry is being thinned the city is told so at most this often (clock's seconds).
THINNED_NOTE_EVERY_S = 3600
SOFTWARE = "utaa-edge 0.1.0"


class Agent:
    """One site's agent. ``run`` until ``stop``; the data folder must be held."""

    def __init__(self, settings: EdgeSettings, folder: DataFolder, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._boot = boot_id(clock)
        self._started_mono_us = clock.monotonic_us()
        self._sync = ClockSync(clock, settings.clock_trust)
        self._config_file = ConfigFile(folder.path)
        self._config_error: str | None = None
        self._rejected: Counter[str] = Counter()
        self._thinned = Room()
        self._mains = Mains()
        self._thinned_told_us: int | None = None
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.spool = Spool(
            folder.spool,
            site=settings.site,
            boot=self._boot,
            clock=clock,
            quota_bytes=settings.quota_mb << 20,
            frame_readings=settings.frame_readings,
            frame_linger_s=settings.frame_linger_s,
        )
        self._core = self._new_core()
        self._intake = self._new_intake()
        self._link = self._new_link()
        self._cameras = self._new_camera_watch()
        self._local_page = local_page_of(
            settings.local_page, clock, self._intake.post, lambda: self.spool.queued().events
        )
        self._orders = Orders(
            settings.site,
            self._core,
            synced=self._sync.synced,
            wall_us=clock.now_us,
            send=self._intake.send,
        )

    def _new_core(self) -> Core:
        sources = [
            build(
                source.name,
                self._settings.site,
                {**source.options, **read_options(source.options_file)},
            )
            for source in self._settings.sources
        ]
        time = AlarmTime(
            self._clock,
            boot=self._boot,
            last_us=self.spool.last_alarm_us,
            last_mono_us=self.spool.last_mono_us,
            last_boot=self.spool.last_boot,
        )
        return Core(
            spool=self.spool,
            router=Router(sources),
            clock=self._clock,
            time=time,
            config=self._kept_config(),
            synced=self._sync.synced,
            hub=self._new_hub(),
        )

    def _new_hub(self) -> HomeHub | None:
        wanted = self._settings.home_hub
        if wanted is None:
            return None
        return HomeHub(self._settings.site, wanted.prefix, wanted.detectors)

    def _kept_config(self) -> SiteConfig:
        try:
            return self._config_file.load(self._settings.site)
        except BadConfig as error:
            log.error("config.unreadable", error=without_names(str(error)))
            self._config_error = f"the settings kept on disk: {error}"
            return SiteConfig()

    def _new_intake(self) -> Intake:
        return Intake(
            broker=_address(self._settings.site_broker),
            client_id=f"utaa-agent-{self._settings.site}",
            core=self._core,
            spool=self.spool,
            clock=self._clock,
            committed=self._committed,
            failed=self._failed,
            linger_s=self._settings.linger_ms / 1000,
        )

    def _new_link(self) -> Link:
        return Link(
            site=self._settings.site,
            boot=self._boot,
            broker=_address(self._settings.city_broker),
            spool=self.spool,
            clock=self._clock,
            heartbeat_s=self._settings.heartbeat_s,
            ears=Ears(
                heartbeat=self._heartbeat,
                config=self._hear_config,
                command=self._hear_command,
                rejected=self._rejected.update,
                synced=self._sync.synced,
                restored=self._restored,
            ),
        )

    def _new_camera_watch(self) -> CameraWatch:
        wanted = self._settings.cameras or CameraWatchSettings()
        site, folder = self._settings.site, self._settings.data_dir / "cameras"
        values = wanted.model_dump(mode="json")
        broker = self._settings.site_broker.model_dump(mode="json") if wanted.listen else None

        def watched() -> Watch:
            return Watch(
                site=site, data_dir=str(folder), settings=values, broker=broker,
                cameras=list(self._core.config.cameras),
            )  # fmt: skip

        return CameraWatch(
            site, watched, self._intake.post, always=self._settings.cameras is not None
        )  # fmt: skip

    # -- running ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until ``stop``. Raises what ended it otherwise (``SpoolDamaged`` above all)."""
        self._loop = asyncio.get_running_loop()
        log.info("agent.started", site=self._settings.site, epoch=self.spool.epoch, boot=self._boot)
        try:
            async with asyncio.TaskGroup() as tasks:
                linking = tasks.create_task(self._link.run(), name="link")
                house = tasks.create_task(self._keep_house(), name="house")
                watching = tasks.create_task(self._cameras.run(), name="cameras")
                page = tasks.create_task(self._serve_local_page(), name="local page")
                self._intake.start()
                await self._stop.wait()
                house.cancel()
                page.cancel()
                watching.cancel()
                await asyncio.to_thread(self._intake.stop)
                self._link.stop()
                await linking
                if self._failure is not None:
                    raise self._failure
        finally:
            await asyncio.to_thread(self._intake.stop)
            self.spool.close()
        log.info("agent.stopped", site=self._settings.site)

    async def _serve_local_page(self) -> None:
        wanted = self._settings.local_page
        if self._local_page is not None and wanted is not None:
            await self._local_page.run(wanted.host, wanted.port)

    def stop(self) -> None:
        """End ``run`` cleanly. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    def _committed(self, written: Written) -> None:
        if written.events or written.frames:
            self._link.wake(events=written.events > 0, frames=written.frames > 0)

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self.stop()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSE_EVERY_S)
            if (said := self._mains.look()) is not None:
                log.warning("site.power", note=said)
                self._tell(said)
            try:
                room = await asyncio.to_thread(self.spool.keep_house)
            except SpoolFull as error:
                log.error("spool.full", error=str(error))  # the intake makes room when it must
                continue
            if room.lost_readings:
                self._thinned.thinned_readings += room.thinned_readings
                self._thinned.dropped_readings += room.dropped_readings
                self._tell_thinned(room)

    def _tell(self, note: str) -> None:
        self._intake.post(lambda core: core.note(note, {}))

    def _tell_thinned(self, room: Room) -> None:
        log.warning("spool.thinned", thinned=room.thinned_readings, dropped=room.dropped_readings)

        def note(core: Core) -> None:
            core.counters["spool"]["thinned_readings"] += room.thinned_readings
            core.counters["spool"]["dropped_readings"] += room.dropped_readings
            now_us = core.now_us()
            told_us = self._thinned_told_us
            if told_us is None or now_us - told_us >= THINNED_NOTE_EVERY_S * US_PER_S:
                self._thinned_told_us = now_us
                core.note(
                    "thinned",
                    {
                        "thinned_readings": self._thinned.thinned_readings,
                        "dropped_readings": self._thinned.dropped_readings,
                        "rule": RULE,
                    },
                )

        self._intake.post(note)

    def _restored(self, epoch: str) -> None:
        self._intake.post(lambda core: core.note("spool_restored", {"epoch": epoch}))

    # -- what the link hears ------------------------------------------------------------------

    def _cameras_unwatched(self) -> str | None:
        """Why the cameras that the city named are not watched."""
        problem = self._cameras.problem
        return f"cameras: {problem}"[:500] if problem and self._core.config.cameras else None

    def _heartbeat(self) -> Heartbeat:
        queued = self.spool.queued()
        counters = self._core.counter_table()
        counters["link"] = self._link.counters()
        if self._cameras.counters:
            counters["cameras"] = dict(self._cameras.counters)
        if self._rejected:
            counters["rejected"] = dict(self._rejected)
        return Heartbeat(
            site=self._settings.site,
            epoch=self.spool.epoch,
            boot=self._boot,
            at_us=max(0, self._clock.now_us()),
            uptime_s=(self._clock.monotonic_us() - self._started_mono_us) / US_PER_S,
            clock_synced=self._sync.synced(),
            config_version=self._core.config.version,
            detectors=len(self._core.states),
            queued_events=queued.events,
            queued_readings=queued.readings,
            spool_bytes=queued.bytes,
            counters=counters,
            software=SOFTWARE,
            config_error=self._config_error or self._cameras_unwatched(),
        )

    def _hear_config(self, payload: bytes) -> None:
        if not payload:
            return
        try:
            config = check(payload, self._settings.site)
        except BadConfig as error:
            self._config_error = str(error)
            log.error("config.refused", error=without_names(str(error)))
            return
        self._config_error = None
        if config.version == self._core.config.version:
            return
        try:
            self._config_file.save(payload)
        except OSError as error:
            self._config_error = f"it is used but could not be kept: {error.strerror}"
            log.error("config.not_kept", error=str(error))
        self._intake.post(lambda core: core.configure(config))
        self._intake.post(self._tell_cameras)
        log.info("config.taken", version=config.version, detectors=len(config.detectors))

    def _tell_cameras(self, _core: Core) -> None:
        """The core has the new settings: pass the word from its thread to the loop's."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cameras.changed)

    def _hear_command(self, payload: bytes) -> None:
        def obey(core: Core) -> None:
            result = self._orders.obey(payload)
            if result is not None:
                log.info("command.obeyed", command=result.id, ok=result.ok, detail=result.detail)
                self._link.publish_result(result)

        self._intake.post(obey)


def _address(settings: BrokerSettings) -> BrokerAddress:
    password = None
    if settings.password_file is not None:
        password = settings.password_file.read_text(encoding="utf-8").strip()
    files = None
    if settings.tls:
        files = TlsFiles(settings.ca_file, settings.cert_file, settings.key_file)
        files.context()  # a missing file stops the start, not the first connection
    return BrokerAddress(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        password=password,
        tls=files,
    )


def run_until_signalled(agent: Agent) -> None:
    """Run the agent on a new event loop; SIGTERM and SIGINT end it cleanly."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, agent.stop)
        await agent.run()

    asyncio.run(main())
