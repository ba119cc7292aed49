"""Ground floor: what edge and city say to each other, and nothing else.

Cast: ``units`` (quantities and conversions), ``readings`` (a reading and its flags), ``frames`` (the
columnar batch), ``messages`` (event, snapshot, acknowledgement, heartbeat, config, command),
``topics`` (MQTT topic names), ``clock`` (the injectable clock), ``identity`` (opaque ids),
``asyncapi`` (this interface as a document, held against the code by a test).

No I/O and no import of any other room.
"""
