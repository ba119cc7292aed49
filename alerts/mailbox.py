"""Bounces from a Maildir: the mail server delivers what comes back, we take it in and put it away.

Any mail server can write a Maildir for our sender's address. A file in ``new`` is read, folded, and
moved to ``cur`` as seen; one that cannot be read stays there, so that nothing is lost silently.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from alerts import bounces
from alerts.policy import Policy
from edge.wire.clock import Clock
from registry.db import Database

#: Mails of one round; the rest come in the next.
_PER_ROUND = 100

log = structlog.get_logger(__name__)


async def take_in_all(maildir: Path, database: Database, clock: Clock, policy: Policy) -> int:
    """Fold every new mail of the Maildir; how many were news of messages of ours."""
    news = 0
    for path in sorted(_new(maildir))[:_PER_ROUND]:
        mail = _read(path)
        if mail is None:
            continue
        async with database.write() as session:
            news += await bounces.take_in(session, mail, clock.now_us(), policy=policy)
        _put_away(path, maildir)
    return news


def _new(maildir: Path) -> list[Path]:
    try:
        return [path for path in (maildir / "new").iterdir() if path.is_file()]
    except OSError as error:
        log.warning("alerts.mailbox_unreadable", folder=str(maildir), error=error.strerror)
        return []


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(bounces.MAX_BOUNCE_BYTES + 1)
    except OSError as error:
        log.warning("alerts.bounce_unreadable", error=error.strerror)
        return None


def _put_away(path: Path, maildir: Path) -> None:
    (maildir / "cur").mkdir(exist_ok=True)
    path.rename(maildir / "cur" / f"{path.name}:2,S")
