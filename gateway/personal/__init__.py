"""Personal data over all rooms: a home's own file, erasure, and what goes after its time.

Cast: ``service`` (file and erasure: the register's part, alerts' part and the audit's, in order),
``paper`` (the file as a ZIP: JSON for machines, a page for people), ``rules`` (every rule of
retention there is), ``keeper`` (the job that runs them, one process of several), ``commands``.
"""
