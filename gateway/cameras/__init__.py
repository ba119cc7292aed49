"""Camera health as the city has heard it: the last facts of each camera, and what they rest on.

Cast: ``models`` (the tables), ``hearing`` (facts and losses as they come in by the events lane),
``reading`` (what the API shows). What a camera is and where it stands is the register's business
(``registry.cameras``); here is only what its site said of it.
"""
