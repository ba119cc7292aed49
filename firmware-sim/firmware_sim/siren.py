"""Sirens that make no noise: they note what they were told, and when."""

from __future__ import annotations

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


def wanted(payload: bytes) -> bool | None:
    """Whether a command wants the siren on, off, or cannot be read (None).

    Understood: a bare word (``on``, ``off`` and the like), or a JSON object with ``on``, ``state`` or
    ``action`` holding such a word or a boolean.
    """
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = payload.decode("utf-8", "replace")
    if isinstance(value, dict):
        value = next((value[key] for key in ("on", "state", "action") if key in value), None)
    word = str(value).strip().lower()
    return True if word in _ON else False if word in _OFF else None


@dataclass(slots=True)
class Sirens:
    """All sirens of a site behind one connection; ``heard`` is what they were told, in order."""

    addresses: list[str]
    clock: Clock
    ledger: Ledger
    heard: list[SirenLine] = field(default_factory=list)
    link: Link | None = None

    def filters(self) -> list[str]:
        """What their connection subscribes to."""
        return [siren_topic(address, "command") for address in self.addresses]

    async def obey(self, topic: str, payload: bytes) -> None:
        """Take a command: note it and say the new state (retained)."""
        address = topic.split("/")[-2]
        line = SirenLine(
            address=address,
            at_us=self.clock.now_us(),
            on=wanted(payload),
            command=payload[:500].decode("utf-8", "replace"),
        )
        self.heard.append(line)
        self.ledger.siren(line)
        log.info("sim.siren", siren=address, on=line.on)
        if self.link is not None and line.on is not None:
            state = b'{"on":true}' if line.on else b'{"on":false}'
            self.link.send(Outgoing(siren_topic(address, "state"), state, retain=True))
