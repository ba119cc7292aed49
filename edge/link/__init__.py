"""The link: from the spool to the city, until the city has acknowledged it.

Cast: ``Link`` (two connections, and everything that goes over them), ``Window`` (what is under way on
a lane and when it is sent again; pure), ``age`` (how old an event is at sending).

An event's way: the spool has committed it; the events lane sends it, alarms before everything and
newest raise first; the gateway stores it and answers with its key; the spool marks it. A broker in
between may lose, repeat or reorder: only the answer counts. On every connect the snapshot of active
alarms goes first.
"""

from edge.link.age import age_ms
from edge.link.link import BrokerAddress, Ears, Link
from edge.link.window import Window

__all__ = ["BrokerAddress", "Ears", "Link", "Window", "age_ms"]
