"""A technician's work on the spot: test alarms, what was checked, pictures, acts sent later.

Cast: ``trials`` (a test alarm that only the technician is told of, and its end), ``commissioning``
(the checks that put a detector into service), ``acts`` (each act once, however often it is sent),
``localpage`` (the site's own read-only page and the keys for it), ``reasons`` (why a detector is on the
worklist and how urgent that is; pure).
"""
