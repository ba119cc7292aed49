"""Where readings live: one small protocol, two stores behind it.

Cast: ``base`` (the protocol, a frame as numpy columns, what a query answers), ``blocks`` (how the
embedded store packs rows), ``sqlite`` (the embedded store: files by UTC day), ``influx`` (InfluxDB
1.8, 2.x and 3), ``opening`` (the store that the settings ask for).

A write takes whole frames and is durable when it returns; the same (detector, time) twice is no harm.
"""
