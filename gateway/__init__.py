"""The city's side: takes in what sites send, stores it, and shows it.

Cast: ``ingest`` validates and stores what arrives by MQTT and acknowledges it end to end;
``stores`` keep readings (SQLite files by day, or InfluxDB) behind one small protocol; ``api`` is the
HTTP interface, ``web`` the pages, ``live`` the event stream; ``supervise`` watches the sites.

One frame's journey: a worker of the shared subscription receives it → its shape and values are
checked → the reading store has it, then the latest values → the acknowledgement goes to the site.
One event's journey: checked → one transaction holds alarm, incident and notifications → acknowledged
→ alerts and the live stream are woken.
"""
