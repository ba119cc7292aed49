"""Detectors, homes and fires that do not exist.

Cast: ``model`` (air, fires, stoves and sensors as pure functions), ``scenario`` (what happens to whom
and when, from TOML), ``device`` (one detector: what it says and how it misbehaves), ``formats`` (how it
says it: native JSON, Zigbee2MQTT), ``link`` (an MQTT connection that keeps what it could not send),
``fleet`` (all of them on one timeline), ``siren`` (one that notes when it sounded), ``ledger`` (what
was published and acknowledged, so that the city can be held against it), ``recordings`` and
``replay`` (laboratory and kitchen measurements as detectors).

One reading's way: ``fleet`` lets a home's air pass to the next moment, a ``device`` senses it and
phrases it by its format, the ``link`` publishes it with QoS 1, and when the broker has acknowledged it
the ``ledger`` writes it down.
"""
