"""All homes of a scenario on one timeline, over real MQTT connections.

A heap of homes by when each next needs attention: a detector's report, a second of a growing fire, the
beginning or end of a trouble. A reading bears the time it was due, so the same seed gives the same
readings however busy the machine is.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
from dataclasses import dataclass, field

import structlog

from edge.wire.clock import US_PER_S, Clock
from edge.wire.identity import check_site
from firmware_sim.device import Device, exposed, seed_of
from firmware_sim.errors import SimulatorError
from firmware_sim.formats import Format, format_named
from firmware_sim.ledger import Ledger, Outgoing, Summary
from firmware_sim.link import CONCENTRATOR_CAPACITY, CONCENTRATOR_WINDOW, Broker, Link
from firmware_sim.model.air import HomeState, quiet_home, step
from firmware_sim.model.dwelling import DWELLINGS
from firmware_sim.pace import wait_until
from firmware_sim.scenario import HomeSpec, Scenario
from firmware_sim.siren import Sirens

log = structlog.get_logger(__name__)

#: While something burns, cooks or leaks, a home is looked at this often.
LIVELY_TICK_S = 1.0
#: At the end unsent readings get this long, real time.
DRAIN_S = 10.0
#: So many devices of a fleet connect at the same moment.
CONNECTING_AT_ONCE = 50


@dataclass(slots=True)
class Home:
    """A home, its air, its detectors and their connections."""

    spec: HomeSpec
    air: HomeState
    devices: list[Device]
    links: list[Link]
    #: moments at which a trouble begins or ends, rising
    edges_s: list[float]

    def live_until(self, at_s: float) -> None:
        """Let its air and its detectors reach ``at_s``."""
        dt_s = at_s - self.air.at_s
        self.air = step(self.air, dt_s)
        for device in self.devices:
            device.feel(self.air, dt_s)

    def next_s(self) -> float:
        """When it needs attention next."""
        now_s = self.air.at_s
        moments = [device.next_s for device in self.devices if device.next_s > now_s]
        moments += (edge for edge in self.edges_s if edge > now_s)
        moments += (each.started_s for each in self.air.activities if each.started_s > now_s)
        if self.air.lively:
            moments.append(now_s + LIVELY_TICK_S)
        return min(moments, default=now_s + LIVELY_TICK_S)


@dataclass(slots=True)
class Fleet:
    """A scenario ready to play at one site."""

    scenario: Scenario
    site: str
    broker: Broker
    clock: Clock
    ledger: Ledger
    homes: list[Home] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    sirens: Sirens | None = None
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTING_AT_ONCE))

    def __post_init__(self) -> None:
        try:
            check_site(self.site)
        except ValueError as error:
            raise SimulatorError("site", str(error)) from None
        bridge = self._bridge()
        shared = self._concentrator() if self.scenario.connection == "concentrator" else None
        formats: dict[str, Format] = {}
        for spec in self.scenario.homes:
            speech = formats.setdefault(spec.format, format_named(spec.format))
            common = bridge if spec.format == "zigbee2mqtt" else shared
            self.homes.append(self._home(spec, speech, common))
        self._add_sirens()

    def _link(self, name: str, **options: object) -> Link:
        link = Link(
            broker=self.broker,
            identifier=f"sim-{self.site}-{name}",
            clock=self.clock,
            ledger=self.ledger,
            gate=self._gate,
            **options,  # type: ignore[arg-type]
        )
        self.links.append(link)
        return link

    def _concentrator(self) -> Link:
        return self._link("concentrator", capacity=CONCENTRATOR_CAPACITY, window=CONCENTRATOR_WINDOW)

    def _bridge(self) -> Link | None:
        """Zigbee detectors share one bridge, as in life; it lists them and has the last will."""
        listed = [each for each in self.scenario.detectors() if each.format == "zigbee2mqtt"]
        if not listed:
            return None
        topic = "zigbee2mqtt/bridge/state"
        devices = [
            {
                "friendly_name": each.address,
                "ieee_address": f"0x{seed_of(0, each.address):016x}",
                "type": "EndDevice",
                "supported": True,
                "definition": {
                    "vendor": "Utaa",
                    "model": f"sim-{each.kind}",
                    "exposes": [{"property": name} for name in exposed(each.kind)],
                },
            }
            for each in listed
        ]
        return self._link(
            "bridge",
            capacity=CONCENTRATOR_CAPACITY,
            window=CONCENTRATOR_WINDOW,
            will=Outgoing(topic, b'{"state":"offline"}', retain=True),
            greeting=[
                Outgoing(topic, b'{"state":"online"}', retain=True),
                Outgoing("zigbee2mqtt/bridge/devices", json.dumps(devices).encode(), retain=True),
            ],
        )

    def _home(self, spec: HomeSpec, speech: Format, common: Link | None) -> Home:
        devices: list[Device] = []
        links: list[Link] = []
        for detector in self.scenario.detectors_of(spec):
            device = Device.create(
                detector,
                speech,
                site=self.site,
                seed=self.scenario.seed,
                interval_s=self.scenario.interval_s,
                age_years=spec.age_years,
                troubles=self.scenario.troubles_of(detector),
            )
            devices.append(device)
            link = common or self._link(
                detector.address,
                will=_presence(device, online=False),
                greeting=[_presence(device, online=True)],
            )
            if link is common:
                link.send(_presence(device, online=True))
            links.append(link)
        edges = {edge for device in devices for t in device.troubles for edge in (t.at_s, t.over_s)}
        air = quiet_home(DWELLINGS[spec.kind], self.scenario.activities_of(spec.name))
        return Home(spec, air, devices, links, sorted(edge for edge in edges if edge < math.inf))

    def _add_sirens(self) -> None:
        addresses = self.scenario.sirens()
        if not addresses:
            return
        sirens = Sirens(addresses, self.clock, self.ledger)
        sirens.link = self._link("sirens", filters=sirens.filters(), on_message=sirens.obey)
        self.sirens = sirens

    async def play(self, lasts_s: float, stop: asyncio.Event) -> None:
        """Live through the scenario until its end or until ``stop`` is set."""
        start_us = self.clock.now_us()
        self.ledger.start(
            self.scenario.name,
            self.site,
            start_us,
            len(self.scenario.detectors()),
            self.scenario.seed,
        )
        heap = [(home.next_s() if home.air.at_s else 0.0, n) for n, home in enumerate(self.homes)]
        heapq.heapify(heap)
        while not stop.is_set():
            at_s, number = heap[0]
            if start_us + at_s * US_PER_S > self.clock.now_us():
                self.ledger.flush()
            await wait_until(start_us + min(at_s, lasts_s) * US_PER_S, self.clock, stop)
            if at_s > lasts_s or stop.is_set():
                return
            home = self.homes[number]
            home.live_until(at_s)
            self._speak(home, start_us)
            heapq.heapreplace(heap, (home.next_s(), number))

    def _speak(self, home: Home, start_us: int) -> None:
        for device, link in zip(home.devices, home.links, strict=True):
            self._reach(device, link, home.air.at_s)
            link.send(*device.speak(home.air, start_us))

    def _reach(self, device: Device, link: Link, at_s: float) -> None:
        """Begin or end a detector's absence, if this is the moment."""
        for trouble in device.troubles:
            if trouble.what != "drop_off" or at_s not in (trouble.at_s, trouble.over_s):
                continue
            leaving = at_s == trouble.at_s
            log.info("sim.drop_off", address=device.spec.address, gone=leaving)
            if link.will is not None and link.will.address == device.spec.address:
                (link.cut if leaving else link.mend)()
            else:
                link.send(_presence(device, online=not leaving))

    async def leave(self, *, goodbye: bool) -> int:
        """Wait for the last acknowledgements; returns the readings without one."""
        if self.sirens is not None:
            self.sirens.leave()
        for home in self.homes:
            for device, link in zip(home.devices, home.links, strict=True):
                link.mend()
                if goodbye:
                    link.send(_presence(device, online=False))
        await asyncio.gather(*(link.drained(DRAIN_S) for link in self.links))
        return sum(link.unacknowledged for link in self.links)


def _presence(device: Device, *, online: bool) -> Outgoing:
    said = device.format.presence(device.spec.address, online=online)
    return Outgoing(said.topic, said.payload, retain=True, address=device.spec.address)


async def run_fleet(
    scenario: Scenario,
    *,
    site: str,
    broker: Broker,
    clock: Clock,
    ledger: Ledger,
    seconds: float | None = None,
    goodbye: bool = True,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Play a scenario to its end (or for ``seconds`` of the clock, or until ``stop``).

    Returns the counts, which are also the ledger's last line. The readings of the whole run are in
    the ledger, in the order the broker acknowledged them. Without ``goodbye`` the detectors end their
    connections politely but do not say that they are offline.
    """
    fleet = Fleet(scenario, site, broker, clock, ledger)
    lasts_s = min(seconds or math.inf, scenario.lasts_s or math.inf)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(link.run(), name=link.identifier) for link in fleet.links]
        await fleet.play(lasts_s, stop or asyncio.Event())
        unacknowledged = await fleet.leave(goodbye=goodbye)
        for task in tasks:
            task.cancel()
    return ledger.finish(unacknowledged)
