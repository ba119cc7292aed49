"""One camera lost, or the network of all of them? Pure.

``Losses`` hears of every camera that is doubted, lost or back, and says what is to be told: losses of
single cameras at once; but while so many others are in doubt that it may be the network, a loss is held
back for a moment. A network's loss names its cameras and is over when the last of them is back; who is
still away after the others came back is then told alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

#: Lost together: this share of all cameras, and at least so many.
SHARE: Final = 0.5
LEAST: Final = 5
#: A loss is held back for so long at most while others are in doubt.
HOLD_S: Final = 12.0
#: The network is back when this share of its lost cameras is; the rest are lost by themselves.
BACK_SHARE: Final = 0.8
#: Who is not back this long after the first of them is lost alone.
BACK_WAIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be told: single losses, a loss of many, and what is back."""

    lost: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    #: the cameras of a network's loss that begins, or that is over
    network_lost: tuple[str, ...] = ()
    network_back: tuple[str, ...] = ()


@dataclass(slots=True)
class Losses:
    """The state; ``scale``: waits times this."""

    watched: set[str] = field(default_factory=set)
    scale: float = 1.0
    doubted: set[str] = field(default_factory=set)
    lost_s: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    first_back_s: float | None = None

    @property
    def network(self) -> bool:
        """Whether the network is lost."""
        return bool(self.members)

    def watch(self, cameras: Iterable[str]) -> None:
        """These are the site's cameras from now on."""
        self.watched = set(cameras)
        for known in (self.doubted, self.told, self.members):
            known.intersection_update(self.watched)
        for name in [n for n in self.lost_s if n not in self.watched]:
            del self.lost_s[name]

    def hear(self, camera: str, *, doubted: bool, lost: bool, now_s: float) -> None:
        """How this camera stands after a look."""
        (self.doubted.add if doubted else self.doubted.discard)(camera)
        if lost:
            self.lost_s.setdefault(camera, now_s)
        else:
            self.lost_s.pop(camera, None)

    def settle(self, now_s: float) -> Said:
        """What is to be told now. Call it often."""
        if self.members:
            return self._settle_network(now_s)
        back = tuple(sorted(self.told - self.lost_s.keys()))
        self.told.difference_update(back)
        fresh = self.lost_s.keys() - self.told
        most = max(LEAST, SHARE * len(self.watched))
        since_s = min((self.lost_s[name] for name in fresh), default=now_s)
        settled = not self.doubted - self.told or now_s - since_s >= HOLD_S * self.scale
        if len(fresh) >= most and settled:  # who is in doubt may be lost in a moment: count them too
            # told alone before: they stay what they are
            self.members = set(fresh)
            return Said(back=back, network_lost=tuple(sorted(fresh)))
        may_be_all = len(fresh | (self.doubted - self.told)) >= most
        hold_s = HOLD_S * self.scale if may_be_all else 0.0
        due = tuple(sorted(n for n in fresh if now_s - self.lost_s[n] >= hold_s))
        self.told.update(due)
        return Said(lost=due, back=back)

    def _settle_network(self, now_s: float) -> Said:
        joined = self.lost_s.keys() - self.told - self.members
        away = self.members & self.lost_s.keys()
        returned = self.members - away
        self.first_back_s = (self.first_back_s if self.first_back_s is not None else now_s) if (
            returned
        ) else None  # fmt: skip
        waited = self.first_back_s is not None and now_s - self.first_back_s >= BACK_WAIT_S * self.scale
        most_are = len(returned) >= BACK_SHARE * len(self.members)
        if not away or (waited and most_are):
            over, self.members, self.first_back_s = tuple(sorted(self.members)), set(), None
            rest = tuple(sorted(away | joined))
            self.told.update(rest)
            return Said(lost=rest, network_back=over)
        back = tuple(sorted(self.told - self.lost_s.keys()))
        self.told.difference_update(back)
        # lost while the network is: the same loss, unless it lasts longer
        self.members |= joined
        return Said(back=back)
