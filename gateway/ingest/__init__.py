"""Taking in what sites send: checked, stored, then acknowledged end to end.

Cast: ``inbox`` (one MQTT connection that takes no more than can be worked on), ``check`` (is a frame
believable: pure), ``frames`` (the frames lane), ``events`` (the events lane: events, snapshots,
heartbeats, wills), ``latest``, ``board`` and ``keeper`` (newest reading of each detector), ``sites``
(sites, epochs and device facts), ``aside`` (what could not be used), ``configs`` (a site's settings,
sent again where an older version is heard of), ``worker`` (both lanes under one roof).

One message's journey: inbox → checked, or set aside with its reason → stored (readings in the reading
store, everything else in one transaction) → acknowledged to its site with the city's store id. If the
store or the database is away, a lane waits, takes no more, and so the edges keep what they have.
Frames and events have connections and queues of their own: incidents never wait behind frames.
"""
