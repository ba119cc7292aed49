"""What may be stored at all, whichever way it came in."""

from __future__ import annotations

import math
import re
from typing import Any, Final

#: Settings written as JSON: deep and long enough for every output there is.
MAX_DEPTH: Final = 5
MAX_ENTRIES: Final = 500
#: Where money comes from, as the city's programme lists it: state and local budget, a donor's or an
#: international bank's loan or grant, private investment, other.
FUNDING_SOURCES: Final = ("state_budget", "local_budget", "donor", "bank", "private", "other")
_MAX_INTEGER: Final = 2**53
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def check_storable(value: Any, depth: int = 0) -> Any:
    """The value itself. Raises ``ValueError`` for what no database takes or nobody means.

    Control characters, lone surrogates, NaN, infinities, huge integers, and structures that are too
    deep or too long.
    """
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise ValueError("expected a text without control characters")
        value.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("expected a finite number")
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ValueError("expected a number below 2 to the power of 53")
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH or len(value) > MAX_ENTRIES:
            raise ValueError(f"expected at most {MAX_DEPTH} levels and {MAX_ENTRIES} entries")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            check_storable(inner, depth + 1)
    return value
