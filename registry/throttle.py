"""How long somebody who failed must wait before the next try is heard. Pure.

The first failures cost nothing, then the wait doubles up to a cap: a guesser gets a few hundred tries
a day, and a person who mistyped is back within a quarter of an hour.
"""

from __future__ import annotations

from typing import Final

from edge.wire.clock import US_PER_S

#: Failures in a row that cost nothing: for one login, and for one address (an office shares it).
LOGIN_ALLOWANCE: Final = 5
ORIGIN_ALLOWANCE: Final = 30
_FIRST_WAIT_US: Final = 15 * US_PER_S
_LONGEST_WAIT_US: Final = 900 * US_PER_S
#: After this long without a failure they are forgotten.
FORGET_US: Final = 3600 * US_PER_S


def wait_us(failures: int, since_last_us: int, allowance: int) -> int:
    """µs still to wait; 0: the next try is heard and counts on; -1: heard, and counted from one.

    ``since_last_us`` below zero (the clock went back) counts as no time at all.
    """
    elapsed = max(since_last_us, 0)
    if elapsed >= FORGET_US:
        return -1
    over = failures - allowance
    if over < 0:
        return 0
    doublings = min(over, 10)
    return max(min(_FIRST_WAIT_US << doublings, _LONGEST_WAIT_US) - elapsed, 0)
