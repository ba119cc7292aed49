"""Who is told, until somebody answers.

Cast: an *incident* is what the city opens for a household (or a site, a plant element) and a hazard;
a *notification* is what one person is to be told of it; a *delivery* is one notification on one
channel; an *attempt* is one try of a delivery. ``incidents`` folds alarms into incidents, ``policy``
says who is told when, ``plan`` writes notifications and deliveries, ``worker`` walks them, each file
in ``channels/`` knows one provider, ``texts`` holds the words in Mongolian and English.

One alarm's journey: ingest applies the edge's event and the incident, its notifications and
deliveries are rows of the same transaction → the worker is woken, takes due deliveries under a
lease → a channel sends and answers with a typed outcome → the attempt is a row → accepted, again
later, or dead. A crash loses speed, never an alert: what is due is in the database.
"""
