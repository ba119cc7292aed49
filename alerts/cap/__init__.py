"""CAP 1.2: an incident as a message that dispatch centres and other systems read.

Cast: ``model`` (the message and its rules), ``write`` (XML out, elements in the order the standard
fixes), ``read`` (XML in, harmless and strict), ``incident`` (what we say of an incident: Alert when it
opens, Update while it lasts, Cancel when it was a mistake; each refers to those before it).
"""

from alerts.cap.incident import message_for
from alerts.cap.model import Alert, Area, CapError, Info
from alerts.cap.read import read_cap
from alerts.cap.write import write_cap

__all__ = ["Alert", "Area", "CapError", "Info", "message_for", "read_cap", "write_cap"]
