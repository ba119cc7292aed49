"""A lane's window: what is under way and when it is sent again. Pure; time comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: Without an answer for this long a message is sent again (real seconds), and twice as long after
#: each repetition, up to the cap. A gateway behind a slow disk answers late, not never.
RESEND_AFTER_S = 10.0
RESEND_CAP_S = 60.0
#: What was sent one after the other expires one after the other: the time doubles once in this share of
#: itself, not for each of them.
_ONE_BACK_OFF = 0.7
#: Events are few and small, and one of them may be an alarm: they are repeated at this pace for as
#: long as it takes, so a gateway that comes back hears of it within seconds.
EVENTS_RESEND_CAP_S = 10.0
#: Sites that lost the same broker must not all repeat at the same moment: ± this share.
JITTER = 0.25
#: A lane may have this many times its quickest round trip under way before it holds back.
_SLOW_FACTOR = 3.0
_SLOW_MARGIN_S = 0.25


@dataclass
class _UnderWay:
    sent_s: float
    due_s: float


class Window:
    """Sequences under way on one lane.

    ``limit`` adapts between ``least`` and ``most``: it grows while answers come as quickly as they
    ever did and shrinks when they come late, so that little waits in the broker of a slow city. Late
    is ``slow_factor`` times the quickest answer and ``slow_margin_s`` more.
    """

    def __init__(
        self,
        most: int,
        *,
        least: int = 2,
        adaptive: bool = False,
        slow_factor: float = _SLOW_FACTOR,
        slow_margin_s: float = _SLOW_MARGIN_S,
        cap_s: float = RESEND_CAP_S,
        jitter: Callable[[], float],
    ) -> None:
        self._most = most
        self._least = least
        self._adaptive = adaptive
        self._slow_factor, self._slow_margin_s = slow_factor, slow_margin_s
        self._limit = float(min(most, max(least, 4)) if adaptive else most)
        self._jitter = jitter
        self._cap_s = cap_s
        self._under_way: dict[int, _UnderWay] = {}
        #: nothing under way expires before it
        self._quiet_until_s = float("inf")
        self._timeout_s = RESEND_AFTER_S
        self._grown_s = float("-inf")
        self._quickest_s: float | None = None
        self.resent = 0

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def under_way(self) -> set[int]:
        return set(self._under_way)

    def free(self) -> int:
        """How many more may be sent now."""
        return max(0, self.limit - len(self._under_way))

    def sent(self, seq: int, now_s: float) -> None:
        """The message was handed to the connection."""
        spread = 1.0 + JITTER * (2.0 * self._jitter() - 1.0)
        due_s = now_s + self._timeout_s * spread
        self._under_way[seq] = _UnderWay(now_s, due_s)
        self._quiet_until_s = min(self._quiet_until_s, due_s)

    def expire(self, now_s: float) -> int:
        """Forget what got no answer in time, so that it is chosen again; how many."""
        if now_s < self._quiet_until_s:
            return 0
        late = [seq for seq, way in self._under_way.items() if way.due_s <= now_s]
        for seq in late:
            del self._under_way[seq]
        if late:
            if now_s >= self._grown_s + _ONE_BACK_OFF * self._timeout_s:
                self._grown_s = now_s
                self._timeout_s = min(self._timeout_s * 2, self._cap_s)
            self._limit = max(self._least, self._limit / 2) if self._adaptive else self._limit
            self.resent += len(late)
        self._quiet_until_s = min((way.due_s for way in self._under_way.values()), default=float("inf"))
        return len(late)

    def next_due_s(self) -> float | None:
        """When the next one expires, or a moment before it: what was answered meanwhile counts too."""
        return self._quiet_until_s if self._under_way else None

    def settle(self, ranges: Iterable[tuple[int, int]], now_s: float) -> int:
        """The city answered for these; how many of them were under way."""
        done = 0
        for first, last in ranges:
            if last - first > len(self._under_way):
                seqs = [seq for seq in self._under_way if first <= seq <= last]
            else:
                seqs = [seq for seq in range(first, last + 1) if seq in self._under_way]
            for seq in seqs:
                self._answered(now_s - self._under_way.pop(seq).sent_s)
            done += len(seqs)
        if done:
            self._heard(now_s)
        return done

    def _heard(self, now_s: float) -> None:
        """The city answers again: what it did not hear while it was away waits no long time more."""
        was_s, self._timeout_s, self._grown_s = self._timeout_s, RESEND_AFTER_S, float("-inf")
        if was_s == RESEND_AFTER_S:
            return
        for way in self._under_way.values():
            if way.due_s > now_s + RESEND_AFTER_S * (1 + JITTER):
                way.due_s = now_s + RESEND_AFTER_S * (1 + JITTER * (2 * self._jitter() - 1))
                self._quiet_until_s = min(self._quiet_until_s, way.due_s)

    def clear(self) -> None:
        """The connection is gone: everything is to be sent again."""
        self._under_way.clear()

    def forget(self) -> None:
        """Something else begins: nothing is under way and nobody was late."""
        self._under_way.clear()
        self._timeout_s = RESEND_AFTER_S

    def _answered(self, took_s: float) -> None:
        if not self._adaptive:
            return
        if self._quickest_s is None or took_s < self._quickest_s:
            self._quickest_s = took_s
        if took_s > self._slow_factor * self._quickest_s + self._slow_margin_s:
            self._limit = max(self._least, self._limit * 0.9)
        else:
            self._limit = min(self._most, self._limit + 1.0 / self._limit + 0.25)
