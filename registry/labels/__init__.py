"""Labels with a QR code for detectors and cameras.

Cast: ``models`` (which id stands for which record), ``service`` (give ids, find what one stands for),
``papers`` (common label papers in mm), ``sheet`` (the PDF).

An id is 40 random bits and a check character: it says nothing of the record, cannot be counted up,
and a mistyped one is noticed. ``/q/<id>`` leads a signed-in technician to the record and tells a
stranger only that the thing belongs to the city. A label that was lost or copied is made void and its
record gets another.
"""
