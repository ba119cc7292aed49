"""What the core knows of one detector now: nothing of the home or its people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.wire.clock import US_PER_S

if TYPE_CHECKING:
    from edge.agent.core import Core


@dataclass(frozen=True)
class Facts:
    """Values as last said, the alarms that last (kind, a test), and whether the city is reached."""

    detector: str
    address: str
    co_ppm: float | None
    optical_density_db_m: float | None
    temperature_c: float | None
    #: seconds since it was last heard; None: never in this life of the agent's memory
    heard_ago_s: int | None
    alarms: tuple[tuple[str, bool], ...]
    #: events that the city does not have yet
    queued_events: int


def facts_of(core: Core, detector: str, queued_events: int) -> Facts | None:
    """From the core's own thread. None: there is no such detector at this site."""
    known = core.devices.fact(detector) or core.config.detectors.get(detector)
    if known is None:
        return None
    state = core.states.get(detector)
    heard = state is not None and state.heard_us >= 0
    return Facts(
        detector=detector,
        address=known.address,
        co_ppm=state.co_ppm if state else None,
        optical_density_db_m=state.od_db_m if state else None,
        temperature_c=state.temperature_c if state else None,
        heard_ago_s=max(0, core.now_us() - state.heard_us) // US_PER_S if state and heard else None,
        alarms=tuple(
            (kind, kept.alarm.test) for (of, kind), kept in core.book.active.items() if of == detector
        ),
        queued_events=queued_events,
    )
