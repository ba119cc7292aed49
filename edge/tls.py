"""The files by which an agent and a TLS broker know each other, read again at every connection.

So a renewed certificate is shown at the next connection, and nothing is restarted for it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


class CertificateProblem(OSError):
    """A certificate file is missing or wrong; the text names the file and what the reader said."""


@dataclass(frozen=True)
class TlsFiles:
    """``ca``: whom to trust (None: the system's); ``cert`` and ``key``: who we are (None: nobody)."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Checks the broker's certificate and its name. Raises ``CertificateProblem``."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except (OSError, ssl.SSLError) as error:
            raise CertificateProblem(f"{self.ca}: no certificate to trust: {error}") from None
        self.refresh(context)
        return context

    def refresh(self, context: ssl.SSLContext) -> None:
        """Show the newest certificate at the next connection. Raises ``CertificateProblem``."""
        if self.cert is None:
            return
        try:
            context.load_cert_chain(str(self.cert), str(self.key) if self.key else None)
        except (OSError, ssl.SSLError) as error:
            raise CertificateProblem(f"{self.cert}: not usable with its key: {error}") from None
