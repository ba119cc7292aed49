"""Backups of the city: taken while it runs, encrypted for a key that is not here, restored anywhere.

Cast: ``archive`` (the file: a tar of small parts, zstd, encrypted in the age format), ``tables`` (rows
out of one database and into another kind of it), ``readings`` (the embedded reading store's files),
``take`` and ``bring_back`` (the two journeys), ``commands`` (the command line).

A backup's journey: one read transaction sees every table at one instant → rows leave as lines of JSON
in parts of a few MB → compressed and encrypted as they go, never plain on disk → the manifest, last,
says how many rows each table has and the audit chain's head. A restore goes into an empty database of
either kind, brings it to the backup's revision, fills it, brings it to this program's, counts, walks
the audit chain, and gives the city a new store id, so that every site sends its last week again.
"""
