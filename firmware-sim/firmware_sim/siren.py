"""Sirens that make no noise: they note what they were told, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import structlog

from edge.wire.clock import Clock
from edge.wire.topics import siren_topic
from firmware_sim.ledger import Ledger, Outgoing, SirenLine
from firmware_sim.link import Link

log = structlog.get_logger(__name__)

_ON = frozenset({"on", "sound", "start", "true", "1"})
_OFF = frozenset({"off", "silence", "stop", "false", "0"})


def wanted(payload: bytes) -> tuple[bool | None, float | None]:
    """Whether a command wants the siren on, off, or cannot be read (None); and for how many seconds.

    Understood: a bare word (``on``, ``off`` and the like), or a JSON object with ``on``, ``state`` or
    ``action`` holding such a word or a boolean, and perhaps ``hold_s``.
    """
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = payload.decode("utf-8", "replace")
    hold_s: float | None = None
    if isinstance(value, dict):
        stated = value.get("hold_s")
        hold_s = float(stated) if isinstance(stated, int | float) and stated > 0 else None
        value = next((value[key] for key in ("on", "state", "action") if key in value), None)
    word = str(value).strip().lower()
    return (True if word in _ON else False if word in _OFF else None), hold_s


def is_test(payload: bytes) -> bool:
    """Whether a command asks the siren to try itself: it chirps and says its state."""
    try:
        return bool(msgspec.json.decode(payload, type=dict).get("state") == "test")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


@dataclass(slots=True)
class Sirens:
    """All sirens of a site behind one connection; ``heard`` is what they were told, in order.

    An order that says for how long it holds ends by itself, so that a siren whose edge has died falls
    silent in the end.
    """

    addresses: list[str]
    clock: Clock
    ledger: Ledger
    heard: list[SirenLine] = field(default_factory=list)
    link: Link | None = None
    _ends: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def filters(self) -> list[str]:
        """What their connection subscribes to."""
        return [siren_topic(address, "command") for address in self.addresses]

    async def obey(self, topic: str, payload: bytes) -> None:
        """Take a command: note it, do it, and say the new state (retained)."""
        address = topic.split("/")[-2]
        if is_test(payload):
            self._become(address, address in self._ends, "test")
            return
        on, hold_s = wanted(payload)
        self._become(address, on, payload[:500].decode("utf-8", "replace"))
        if on is None:
            return
        if address in self._ends:
            self._ends.pop(address).cancel()
        if on and hold_s is not None:
            self._ends[address] = asyncio.get_running_loop().call_later(
                hold_s / self.clock.factor, self._become, address, False, ""
            )

    def _become(self, address: str, on: bool | None, command: str) -> None:
        line = SirenLine(address=address, at_us=self.clock.now_us(), on=on, command=command)
        self.heard.append(line)
        self.ledger.siren(line)
        log.info("sim.siren", siren=address, on=on)
        if self.link is not None and on is not None:
            state = b'{"on":true}' if on else b'{"on":false}'
            self.link.send(Outgoing(siren_topic(address, "state"), state, retain=True))

    def leave(self) -> None:
        """No order ends by itself any more."""
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()
