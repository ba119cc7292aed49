"""What gives way when the spool is full: old telemetry, by a stated rule. Pure.

The rule, oldest frames first, one level after the other until there is room:

1. of each detector one reading a minute stays, and every reading that says an alarm or a fault;
2. of each detector one reading in ten minutes stays, and every reading that says so;
3. the frame is dropped.

What the city has acknowledged goes before any of this. Events are never dropped.
"""

from __future__ import annotations

from edge.wire.clock import US_PER_S
from edge.wire.frames import Frame, frame_from_readings
from edge.wire.readings import Reading

#: Level → of each detector one reading in this time stays.
KEEP_ONE_EVERY_US = {1: 60 * US_PER_S, 2: 600 * US_PER_S}
#: At this level the frame goes.
DROP_LEVEL = 3
RULE = "1: one reading a minute of each detector; 2: one in ten minutes; 3: dropped; oldest first"


def thin(frame: Frame, level: int) -> Frame:
    """The frame with fewer readings, under its own key. It is never empty."""
    step_us = KEEP_ONE_EVERY_US[level]
    taken: set[tuple[str, int]] = set()
    kept: list[Reading] = []
    for reading in frame.readings():
        slot = (reading.detector, reading.time_us // step_us)
        if reading.flags or slot not in taken:
            taken.add(slot)
            kept.append(reading)
    return frame_from_readings(
        frame.site, frame.epoch, frame.seq, kept, time_error_us=frame.time_error_us
    )
