"""What and who exists: organisations, people, rights, sites, households, detectors.

Cast: ``db`` (engine, sessions, transactions), ``sealed`` (encrypted columns), ``models`` (tables),
``rights`` (the one place that decides who may do what), ``identity`` (passwords, sessions, tokens,
the first administrator), ``exchange`` (TOML and CSV in), ``sites`` (what a site is told of itself).

One record's journey: a clerk's file or form → parsed and checked whole → one transaction that also
writes the audit entry → the site's configuration version grows → the gateway publishes it.

Domain errors know no HTTP. Times are µs UTC (``…_us``), as on the wire.
"""
