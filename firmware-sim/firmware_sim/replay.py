"""Replay: recordings as native detectors on a real broker, at the pace of the shared clock.

Each recording is one detector with its own connection. Its times are anchored: a reading at ``at_s``
bears ``start + at_s`` and is published when the clock gets there. With a scaled clock in all processes
(``UTAA_CLOCK``) hours pass in seconds and every process agrees on the time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator, Sequence

from edge.wire.clock import US_PER_S, Clock
from edge.wire.identity import check_site, detector_id
from firmware_sim.errors import SimulatorError
from firmware_sim.fleet import CONNECTING_AT_ONCE, DRAIN_S
from firmware_sim.formats import Native, Report
from firmware_sim.ledger import Ledger, Outgoing, ReadingLine, Summary
from firmware_sim.link import Broker, Link
from firmware_sim.pace import wait_until
from firmware_sim.recordings import Recorded, Recording

#: So many readings are queued before the loop lets the connections work, when nothing is waited for.
_BREATH = 100


async def replay(
    recordings: Sequence[Recording],
    broker: Broker,
    clock: Clock,
    ledger: Ledger,
    *,
    site: str,
    start_us: int | None = None,
    as_fast_as_possible: bool = False,
    goodbye: bool = True,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Publish all recordings side by side; returns the counts, also the ledger's last line.

    ``start_us`` is the time of the recordings' first moment (default: now by the clock, or, as fast
    as possible, such that the longest ends now, because nothing may come from the future). Without
    ``goodbye`` the detectors end their connections politely but do not say that they are offline.
    Raises ``SimulatorError`` for a wrong site or two recordings of one address.
    """
    _check(recordings, site)
    stop = stop or asyncio.Event()
    if start_us is None:
        longest_s = max((each.lasts_s for each in recordings), default=0.0)
        lead_us = round(longest_s * US_PER_S) if as_fast_as_possible else 0
        start_us = clock.now_us() - lead_us
    ledger.start("replay", site, start_us, len(recordings))
    links = _links(recordings, broker, clock, ledger, site)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(link.run(), name=link.identifier) for link in links.values()]
        for count, (recording, recorded) in enumerate(_merged(recordings)):
            due_us = start_us + round(recorded.at_s * US_PER_S)
            if not as_fast_as_possible:
                await wait_until(due_us, clock, stop)
            elif count % _BREATH == 0:
                await asyncio.sleep(0)
            if stop.is_set():
                break
            links[recording.address].send(_message(recording, recorded, due_us, site))
        unacknowledged = await _leave(list(links.values()), goodbye=goodbye)
        for task in tasks:
            task.cancel()
    return ledger.finish(unacknowledged)


def _check(recordings: Sequence[Recording], site: str) -> None:
    try:
        check_site(site)
    except ValueError as error:
        raise SimulatorError("site", str(error)) from None
    addresses = [each.address for each in recordings]
    for address in addresses:
        if addresses.count(address) > 1:
            raise SimulatorError(address, "is the address of two recordings; expected one each")
        if not address or any(sign in address for sign in "/+#"):
            raise SimulatorError(address, "is no address; expected a name without '/', '+' and '#'")


def _links(
    recordings: Sequence[Recording], broker: Broker, clock: Clock, ledger: Ledger, site: str
) -> dict[str, Link]:
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    return {
        each.address: Link(
            broker=broker,
            identifier=f"replay-{site}-{each.address}",
            clock=clock,
            ledger=ledger,
            will=_presence(each.address, online=False),
            greeting=[_presence(each.address, online=True)],
            capacity=len(each.readings) + 1,
            gate=gate,
        )
        for each in recordings
    }


def _presence(address: str, *, online: bool) -> Outgoing:
    said = Native().presence(address, online=online)
    return Outgoing(said.topic, said.payload, retain=True, address=address)


def _merged(recordings: Sequence[Recording]) -> Iterator[tuple[Recording, Recorded]]:
    """All readings of all recordings in order of time."""
    streams = (_stream(place, recording) for place, recording in enumerate(recordings))
    for _, place, recorded in heapq.merge(*streams, key=lambda item: item[:2]):
        yield recordings[place], recorded


def _stream(place: int, recording: Recording) -> Iterator[tuple[float, int, Recorded]]:
    for recorded in recording.readings:
        yield recorded.at_s, place, recorded


def _message(recording: Recording, recorded: Recorded, due_us: int, site: str) -> Outgoing:
    phrased = Native().reading(Report(recording.address, due_us, recorded.values))
    line = ReadingLine(
        detector=detector_id(site, Native.source, recording.address),
        source=Native.source,
        address=recording.address,
        time_us=phrased.time_us,
        values=phrased.values,
        flags={},
    )
    return Outgoing(phrased.topic, phrased.payload, reading=line, address=recording.address)


async def _leave(links: Sequence[Link], *, goodbye: bool) -> int:
    for link in links:
        if goodbye and link.will is not None:
            link.send(link.will)
    await asyncio.gather(*(link.drained(DRAIN_S) for link in links))
    return sum(link.unacknowledged for link in links)
