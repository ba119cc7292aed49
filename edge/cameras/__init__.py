"""Camera health: is the camera there, is it alive, and does its picture tell the truth?

Cast: ``prober`` starts ``worker``, a process that can be thrown away, and gives it requests; in it
``stream`` opens the camera (``talk`` for what HTTP and RTSP share) and returns a ``Probed`` with a
closed ``outcome``. ``pictures`` decodes with bounds; ``look`` measures one picture, ``bank``
compares it
with a camera's references, ``judge`` says what it is (``rules`` or the small model in ``trees``);
``frozen`` does it for a film. ``states`` turns probes, judgements and what others say (``heard``) into
facts and, after persistence, alarms; ``watchman`` decides who is looked at when. ``proving`` makes the
scenes on which all of it is measured.

OpenCV and PyAV are imported here and nowhere else; they come with ``pip install 'utaa[cameras]'``.
"""
