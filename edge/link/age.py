"""How old an event is at the moment of sending."""

from __future__ import annotations

from edge.wire.clock import Clock


def age_ms(
    *,
    at_us: int,
    mono_us: int,
    boot: str,
    synced: bool,
    clock: Clock,
    this_boot: str,
    synced_now: bool,
) -> int | None:
    """Age by the monotonic clock; after a reboot by the wall clock if it could be believed both times.

    None: unknown, it lived through a reboot without a clock.
    """
    if boot == this_boot:
        return max(0, clock.monotonic_us() - mono_us) // 1000
    if synced and synced_now:
        return max(0, clock.now_us() - at_us) // 1000
    return None
