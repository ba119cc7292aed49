"""The edge: one agent per site, between the detectors and the city.

Cast: a *source* turns a device's own MQTT payload into readings and device facts; *alarms* decide,
purely, what a detector's state is; the *spool* keeps readings, events and alarm state on disk in one
transaction; the *link* sends them to the city on two lanes until the city has acknowledged them;
*outputs* sound sirens without asking the city; the *agent* holds them together.

One message's journey: the site's broker delivers it → a source decodes it → alarms decide →
the spool commits → the device's message is acknowledged → the link carries frame and event to the
gateway → its end-to-end acknowledgement lets the spool forget.

This package runs on a small box: it imports neither the gateway nor a database server, and OpenCV
only in ``edge.cameras``. ``edge.wire`` is its ground floor and is shared with the city.
"""
