"""The agent: one process at a site that holds sources, alarms, spool, outputs and link together.

Cast: ``Core`` (what one message or one moment changes, gathered into a batch; no I/O of its own),
``Intake`` (the site's broker: reads, lets the core take, commits, and only then acknowledges),
``AlarmTime`` (the timeline of the alarms; never goes back), ``Recent`` (the memory of duplicates),
``alarmbook`` (ids and revisions), ``configuration`` (the last good settings), ``orders`` (commands),
``Agent`` (the process: intake in its thread, the link on the event loop), ``command`` (``utaa edge
run``).

A message's way: ``Intake`` reads what is there → ``Core.take`` decodes it, drops what it knows, lets
the alarms decide and notes changes in the batch → the spool commits the batch → the messages are
acknowledged, sirens are told, the link is woken.
"""
