"""What a channel is given, what it answers, and in which words."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import msgspec

OutcomeKind = Literal["accepted", "retry", "refused", "unknown"]

#: Every reason an outcome can have. Metrics and docs use these words.
REASONS: dict[str, str] = {
    # accepted
    "accepted": "the provider took the message",
    # retry: nothing was handed over; later may help
    "connection_failed": "the provider could not be reached",
    "timeout": "the provider did not answer in time, before the message was handed over",
    "tls_failed": "no encrypted connection, though one is required",
    "auth_refused": "the provider refused our credentials",
    "throttled": "the provider asks to slow down",
    "server_error": "the provider has a fault of its own",
    "unreadable_answer": "the provider's answer is not what its protocol says",
    "address_sealed": "the address does not open: its key is not in the ring",
    "circuit_open": "the provider has failed several times in a row and is spared for a while",
    # refused: never again in this form
    "address_invalid": "the stored address is not one of this channel",
    "address_unknown": "the provider does not know the address",
    "address_dead": "the subscription has ended",
    "policy_refused": "the provider refuses the message",
    "too_large": "the message is larger than the provider takes",
    "unwritable": "its words could not be put together: a fault of this program",
    "bounced": "the provider took it and sent it back later",
    "undelivered": "the provider took it and says now that it could not deliver it",
    "not_configured": "this channel is not set up here",
    # unknown: handed over, the answer was lost
    "answer_lost": "the connection ended after the message was handed over, before the answer",
    "worker_lost": "the worker ended between sending and recording",
}
#: These refusals say that the address itself is of no use any more.
DEAD_ADDRESS_REASONS = ("address_invalid", "address_unknown", "address_dead")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one address. Its repr shows neither address nor words."""

    delivery_id: str
    incident_id: str
    channel: str
    #: an e-mail address, a push subscription as JSON, a number
    address: str
    #: which text: fire, co, all_clear, …
    kind: str
    language: str
    subject: str
    body: str
    short: str
    sent_us: int
    #: somebody must wake up
    urgent: bool
    #: of no use later than this
    ttl_s: int
    link: str = ""
    #: where one click ends messages of this sort (never for an alarm)
    unsubscribe: str = ""
    #: when the person last wrote to us on this channel
    heard_us: int | None = None
    #: by which a provider names the delivery when it reports later
    report_token: str = ""
    #: which rung of the ladder speaks
    rung: int = 0

    def __repr__(self) -> str:
        return (
            f"Message(delivery_id={self.delivery_id!r}, channel={self.channel!r}, kind={self.kind!r})"
        )


class Outcome(NamedTuple):
    """What became of a message. ``evidence`` is the provider's answer without addresses."""

    kind: OutcomeKind
    reason: str
    evidence: str = ""
    #: the provider's own wish when to come again
    retry_after_s: float | None = None
    #: the provider's own name for the message, if it reports under that later
    provider_id: str | None = None


class Channel(Protocol):
    """One way to reach people."""

    name: str
    #: so many sends run at the same time, and no more
    concurrency: int
    #: a send that lasts longer than this is given up with an outcome (real seconds)
    timeout_s: float

    async def send(self, message: Message) -> Outcome:
        """Send it. Every failure is an outcome; an exception is a bug."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
