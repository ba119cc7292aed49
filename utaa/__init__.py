"""The front door: the command line and the one-box composition (``utaa demo``, ``utaa up``).

Nothing is decided here. ``cli`` mounts each room's own commands, ``demo`` and ``up`` start the rooms
as processes beside real servers, ``doctor`` asks each of them how it is.
"""
