"""Personal data: what it is, how long it stays, how a family sees, corrects and erases what is theirs.

Cast: ``classes`` (every column of the city's tables has one of four classes, as data), ``retention``
(what goes after which time, and the proof that it went), ``rules`` (the register's own of these),
``file`` (everything held on a home or a person), ``erasure`` (taking it out everywhere), ``redaction``
(taking it out of the audit while its chain of hashes still holds), ``models`` (tables).
"""
