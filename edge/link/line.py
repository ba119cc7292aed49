"""How much may be on its way to the broker, so that an alarm finds a short queue. Pure; time comes in.

The broker's acknowledgement of a message says how long it stood in queues: in ours, in the kernel's, in
the thin line's. While it comes about as quickly as it ever did lately, more may be under way; when it
comes late, less. The city's own answer says nothing of the line, since a slow disk delays that too.
"""

from __future__ import annotations

#: Under way at first, at least and at most (bytes). A frame of 500 readings is about 12 kB.
FIRST_BYTES = 16 << 10
LEAST_BYTES = 6 << 10
MOST_BYTES = 1 << 20
#: A queue of this length is what we allow ourselves on a thin line (seconds beyond the quickest).
QUEUE_S = 0.25
#: The quickest round trip is forgotten after one to two of these: a line may have become another.
MEMORY_S = 30.0


class Line:
    """The bytes of one connection that the broker has not acknowledged, alarms not counted."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """A new connection: nothing is under way and nothing is known."""
        self.limit = float(FIRST_BYTES)
        self.under_way = 0
        self._steep = True
        self._quickest_s = [float("inf"), float("inf")]
        self._turn_s = float("-inf")
        self._shrunk_s = float("-inf")

    def is_free(self) -> bool:
        """Whether another message may go; one may always."""
        return self.under_way == 0 or self.under_way < self.limit

    def sent(self, size: int) -> None:
        """So many bytes were handed to the connection."""
        self.under_way += size

    def arrived(self, size: int, sent_s: float, now_s: float) -> None:
        """The broker has them."""
        was_full = self.under_way >= self.limit / 2
        self.under_way = max(0, self.under_way - size)
        took_s = now_s - sent_s
        if now_s - self._turn_s >= MEMORY_S:
            self._turn_s = now_s
            self._quickest_s = [took_s, self._quickest_s[0]]
        self._quickest_s[0] = min(took_s, self._quickest_s[0])
        if took_s > min(self._quickest_s) + QUEUE_S:
            self._steep = False
            if sent_s >= self._shrunk_s:  # once for what was sent under the same limit
                self._shrunk_s = now_s
                self.limit = max(LEAST_BYTES, self.limit * 0.7)
        elif was_full:
            step = size if self._steep else size * size / self.limit
            self.limit = min(MOST_BYTES, self.limit + step)
