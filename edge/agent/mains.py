"""Whether the box has mains power, where its kernel knows (``/sys/class/power_supply``).

A box on a battery or a UPS that its kernel knows says ``mains_lost`` and ``mains_back`` as events about
the site itself; a box that knows nothing of its power says nothing.
"""

from __future__ import annotations

from pathlib import Path

POWER_SUPPLIES = Path("/sys/class/power_supply")
#: Supplies of these types are the mains; a battery's ``online`` says nothing of it.
_MAINS_TYPES = ("Mains", "USB", "UPS")
#: A state counts when it was seen so often in a row: a flicker is no power cut.
_STEADY = 2


def mains_online(folder: Path = POWER_SUPPLIES) -> bool | None:
    """Whether any mains supply is online; None where the kernel knows of none."""
    found: list[bool] = []
    try:
        for supply in sorted(folder.iterdir()):
            try:
                kind = (supply / "type").read_text(encoding="ascii").strip()
                online = (supply / "online").read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                continue  # a supply without these files, or one that is just being pulled out
            if kind in _MAINS_TYPES:
                found.append(online not in ("", "0"))
    except OSError:
        return None
    return any(found) if found else None


class Mains:
    """Watches the mains; ``look`` says what is to be told."""

    def __init__(self, folder: Path = POWER_SUPPLIES) -> None:
        self._folder = folder
        self._told = True  # a box that starts with power has nothing to tell
        self._seen: bool | None = None
        self._times = 0

    def look(self) -> str | None:
        """``mains_lost`` or ``mains_back`` when that is news and steady."""
        online = mains_online(self._folder)
        self._times = self._times + 1 if online == self._seen else 1
        self._seen = online
        if online is None or online == self._told or self._times < _STEADY:
            return None
        self._told = online
        return "mains_back" if online else "mains_lost"
