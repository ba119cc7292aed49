"""What the city counts of itself, for ``/metrics``; one registry for each ``City``, no globals.

Reasons in labels are closed sets: ``edge.wire.errors.REASONS`` and ``OWN_REASONS`` here.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Why the city refuses what is well-formed; the wire's own reasons stand beside these.
OWN_REASONS: dict[str, str] = {
    "unknown_site": "the site is not in the register and the city does not accept unknown ones",
    "retained": "a retained message where only fresh ones have a meaning; it is ignored",
    "overflow": "more arrived at once than may wait; the edge sends it again",
    "store_refused": "the reading store refuses this row and always will",
    "failed": "an error of this program while it was applied; see the log",
}
#: Milliseconds from taking a message to its acknowledgement.
_ACK_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class Metrics:
    """The counters of one city process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on = self.registry
        self.frames_stored = Counter("utaa_ingest_frames_stored", "Frames stored", registry=on)
        self.readings_stored = Counter("utaa_ingest_readings_stored", "Readings stored", registry=on)
        self.events_applied = Counter(
            "utaa_ingest_events_applied", "Events applied, repeated ones included", registry=on
        )
        self.snapshots_applied = Counter(
            "utaa_ingest_snapshots_applied", "Snapshots of active alarms applied", registry=on
        )
        self.refused = Counter(
            "utaa_ingest_refused", "Messages refused, by reason", ["reason"], registry=on
        )
        self.acknowledgements = Counter(
            "utaa_ingest_acknowledgements", "Acknowledgements sent, by lane", ["lane"], registry=on
        )
        self.unsent = Counter(
            "utaa_ingest_unsent", "Publications the broker connection did not take", registry=on
        )
        self.ack_seconds = Histogram(
            "utaa_ingest_ack_seconds",
            "From taking a batch to its acknowledgement, by lane",
            ["lane"],
            buckets=_ACK_BUCKETS_S,
            registry=on,
        )
        self.waiting = Gauge(
            "utaa_ingest_waiting", "Messages received and not yet taken, by lane", ["lane"], registry=on
        )
        self.stalled = Gauge(
            "utaa_ingest_stalled",
            "1 while a lane waits for the store or database",
            ["lane"],
            registry=on,
        )
        self.latest_owed = Gauge(
            "utaa_ingest_latest_owed",
            "Detectors whose newest stored reading is not shown yet",
            registry=on,
        )
        self.connected = Gauge(
            "utaa_ingest_connected", "1 while the lane's broker connection is up", ["lane"], registry=on
        )
        self.edge_refused = Gauge(
            "utaa_edge_refused",
            "Payloads a site's edge refused since it started, by reason",
            ["site", "reason"],
            registry=on,
        )
        self.edge_repaired = Gauge(
            "utaa_edge_repaired",
            "Readings a site's edge used after a stated repair since it started, by reason",
            ["site", "reason"],
            registry=on,
        )
        self.edge_queued = Gauge(
            "utaa_edge_queued", "What waits in a site's spool", ["site", "lane"], registry=on
        )
        self.sites = Gauge("utaa_sites", "Sites by state", ["state"], registry=on)
        self.channel_failing = Gauge(
            "utaa_channel_failing",
            "1 while a channel's provider does not take messages (canary, or messages that wait)",
            ["channel"],
            registry=on,
        )
        self.channel_outcomes = Gauge(
            "utaa_channel_outcomes",
            "Sends of this process since it started, by channel, outcome and reason",
            ["channel", "outcome", "reason"],
            registry=on,
        )
        self.live_subscribers = Gauge("utaa_live_subscribers", "Open live streams", registry=on)
        self.live_dropped = Counter(
            "utaa_live_dropped", "Live streams dropped for being slow", registry=on
        )

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
