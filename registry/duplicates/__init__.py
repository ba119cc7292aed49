"""Records that are perhaps one: found, shown as a worklist, decided.

Cast: ``likeness`` (when two are near or alike; pure), ``worklist`` (the pairs nobody has decided
about). A pair is merged by its kind's own service, which keeps both histories, or said to be two,
once for all.
"""
