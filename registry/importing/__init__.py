"""Files of a city's clerks on their way into the register: XLSX, CSV, GeoJSON, KML.

Cast: ``bounds`` (how large a file may be), ``readers`` (a file in, a ``Sheet`` of rows out), ``fields``
(what a column may be called and must hold), ``cells`` (how each kind of cell is read), ``parse`` (a
sheet and fields in, rows and ``Problem``s out), ``texts`` (a problem as a sentence, in Mongolian or
English), ``kinds`` (cameras, models, organisations, households, detectors: what refers to what),
``plan`` (what an import would do), ``service`` (dry run, apply, undo).

One import's journey: bytes → bounds → sheet → headings guessed, or mapped by a person → every cell
read, repairs of a person in place of what stood there → references and duplicates checked against the
register → a plan (dry run) → applied whole or row by row, each record with its audit entry → undone,
where nobody changed the records since. Another room of the register uses ``readers``, ``fields`` and
``parse`` alone.
"""
