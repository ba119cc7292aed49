"""End-to-end acknowledgements of one batch, gathered and then sent: one for a site and epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.wire.messages import Ack, Lane, Rejected, encode, ranges
from edge.wire.topics import site_topic

#: topic, payload → whether the connection took it
Publish = Callable[[str, bytes], bool]

#: What an acknowledgement tells an edge about a refusal; the full text is set aside here.
_MAX_REASON = 40


@dataclass
class Acks:
    """What may be acknowledged once everything of a batch is stored."""

    lane: Lane
    _stored: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _rejected: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    _snapshots: list[tuple[str, str, str, int]] = field(default_factory=list)

    def stored(self, site: str, epoch: str, seq: int) -> None:
        self._stored.setdefault((site, epoch), []).append(seq)

    def rejected(self, site: str, epoch: str, seq: int, reason: str) -> None:
        self._rejected.setdefault((site, epoch), {})[seq] = reason[:_MAX_REASON]

    def snapshot(self, site: str, epoch: str, nonce: str, newest_event: int) -> None:
        self._snapshots.append((site, epoch, nonce, newest_event))

    def messages(self, store_id: str) -> list[Ack]:
        """One for each site and epoch, and one for each snapshot."""
        keys = dict.fromkeys((*self._stored, *self._rejected))
        result = [
            Ack(
                site=site,
                epoch=epoch,
                store=store_id,
                lane=self.lane,
                seqs=ranges(self._stored.get((site, epoch), [])),
                rejected=[
                    Rejected(seq=seq, reason=reason)
                    for seq, reason in sorted(self._rejected.get((site, epoch), {}).items())
                ],
            )
            for site, epoch in keys
        ]
        result += [
            Ack(
                site=site,
                epoch=epoch,
                store=store_id,
                lane=self.lane,
                snapshot=nonce,
                newest_event=newest,
            )
            for site, epoch, nonce, newest in self._snapshots
        ]
        return result

    def send(self, publish: Publish, store_id: str) -> tuple[int, int]:
        """(sent, not taken). What is not taken comes again: its edge asks again."""
        taken = [publish(site_topic(ack.site, "ack"), encode(ack)) for ack in self.messages(store_id)]
        return sum(taken), len(taken) - sum(taken)
