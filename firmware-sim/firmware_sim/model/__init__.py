"""A small physical model of a home: enough to make believable readings, not a fire laboratory.

Cast: ``dwelling`` (sizes and heat), ``activities`` (what burns, cooks or leaks, as sources of smoke, CO
and heat), ``air`` (what that does to the air under the roof), ``sensor`` (what a cheap sensor makes of
it). Everything is a pure function of state, a step in seconds and a seed; there is no clock in here.

Figures marked [M] are from memory, editable defaults without a source at hand.
"""
