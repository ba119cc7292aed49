"""Complaints, suggestions and requests (гомдол, санал, хүсэлт).

Cast: ``models`` (tables), ``workflow`` (its life as a table, the days an answer may take), ``service``
(receive, hand over, answer, rate, open), ``opendoor`` (how often somebody may use a door without
signing in).

One request's journey: somebody writes, without signing in, and gets a code that is shown this once →
the office hands it to the body that answers for it → that body answers, in time or overdue → the asker
reads the answer by the code and says how content they are, 1 to 5. What was said, who said it and the
answer are sealed; lists show kind, place, state and days only.
"""
