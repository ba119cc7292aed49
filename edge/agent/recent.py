"""The memory of duplicates: which readings were taken lately."""

from __future__ import annotations

from msgspec.structs import replace

from edge.wire.readings import Reading

#: Readings of one generation; two are kept. What a broker delivers again after a crash is the last
#: few hundred; at 250 readings/s this is a minute, at a home's pace it is days.
GENERATION = 16_384
#: Different readings of one detector at one µs, each moved by 1 µs more; after so many the last place
#: is used.
MAX_MOVES = 1000


class Recent:
    """Says of each reading: new, a duplicate, or new at a time that is taken."""

    def __init__(self, generation: int = GENERATION) -> None:
        self._size = generation
        self._young: dict[tuple[str, int], int] = {}
        self._old: dict[tuple[str, int], int] = {}

    def admit(self, reading: Reading) -> Reading | None:
        """The reading as it is to be kept, 1 µs or more later if its time was taken; None: known."""
        for _ in range(MAX_MOVES):
            key = (reading.detector, reading.time_us)
            known = self._young.get(key)
            if known is None:
                known = self._old.get(key)
            content = hash(reading)
            if known is None:
                self._remember(key, content)
                return reading
            if known == content:
                return None
            reading = replace(reading, time_us=reading.time_us + 1)
        return reading

    def _remember(self, key: tuple[str, int], content: int) -> None:
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[key] = content
