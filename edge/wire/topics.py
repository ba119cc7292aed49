"""MQTT topic names. The only place where they are spelled.

Towards the city (published by a site, or to it):

    utaa/v1/site/<site>/frame | event | snapshot | heartbeat | status | ack | config | command

On the site's own broker (native devices):

    utaa/v1/detector/<address>/reading | status | command | answer
    utaa/v1/siren/<address>/command | state
    utaa/v1/home/<site>/<detector or site>/state | status    (for a home hub)
    utaa/v1/camera/<address>/state
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

ROOT = "utaa/v1"

#: What a site publishes, and what it reads.
SiteLeaf = Literal[
    "frame", "event", "snapshot", "heartbeat", "status", "ack", "config", "command", "result"
]
SITE_LEAVES: tuple[str, ...] = get_args(SiteLeaf)
UPLINK_LEAVES: tuple[SiteLeaf, ...] = (
    "frame", "event", "snapshot", "heartbeat", "status", "result",
)  # fmt: skip
DOWNLINK_LEAVES: tuple[SiteLeaf, ...] = ("ack", "config", "command")

#: The gateway's workers share their reading under this group.
INGEST_GROUP = "utaa-ingest"


class SiteTopic(NamedTuple):
    """A topic of the city's side, taken apart."""

    site: str
    leaf: SiteLeaf


def site_topic(site: str, leaf: SiteLeaf) -> str:
    """``utaa/v1/site/<site>/<leaf>``"""
    return f"{ROOT}/site/{site}/{leaf}"


def parse_site_topic(topic: str) -> SiteTopic | None:
    """The site and leaf of a topic; None if it is none of ours."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:3] != ["utaa", "v1", "site"] or parts[4] not in SITE_LEAVES:
        return None
    return SiteTopic(parts[3], parts[4])  # type: ignore[arg-type]  # just checked


def ingest_filter(leaf: SiteLeaf, *, shared: bool = True) -> str:
    """What a gateway worker subscribes to; shared among all workers unless the broker cannot."""
    plain = f"{ROOT}/site/+/{leaf}"
    return f"$share/{INGEST_GROUP}/{plain}" if shared else plain


def detector_topic(address: str, leaf: Literal["reading", "status", "command", "answer"]) -> str:
    """A native detector's topic on its site's broker."""
    return f"{ROOT}/detector/{address}/{leaf}"


def siren_topic(address: str, leaf: Literal["command", "state"]) -> str:
    """A siren's topic on its site's broker."""
    return f"{ROOT}/siren/{address}/{leaf}"


def camera_topic(address: str, leaf: Literal["state"] = "state") -> str:
    """A camera's health on its site's broker: what the watchman says, or another program."""
    return f"{ROOT}/camera/{address}/{leaf}"


def hub_topic(site: str, ident: str, leaf: Literal["state", "status"]) -> str:
    """Where a home hub finds the state of a detector, or of the site under its own name."""
    return f"{ROOT}/home/{site}/{ident}/{leaf}"
