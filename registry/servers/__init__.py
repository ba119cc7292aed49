"""Servers, racks, software and licences: what runs where, who answers, until when it is supported.

Cast: ``models`` (tables), ``rules`` (what contradicts the register), ``service`` (what ends soon, what
runs on a machine, the log of work).

A log line is written once. A mistake in it is corrected by a further line that names it.
"""
