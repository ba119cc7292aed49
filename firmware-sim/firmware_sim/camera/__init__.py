"""Cameras that do not exist: RTSP and HTTP with every fault on command.

Cast: ``picture`` (a street drawn with numpy, and what can be wrong with it), ``film`` (H.264 encoded
once at the start), ``rtp`` (packets), ``faults`` (the words and what each does), ``server`` (RTSP over
TCP and HTTP on one port each, for any number of cameras by path), ``command`` (``utaa sim camera``).
"""
