"""What may be kept of a provider's answer: codes, and words that providers use of mail and messages.

A provider may write anything: an address with a space in it, the name of the mailbox's owner, what was
sent. So words are kept from a list, and everything else becomes ``…``.
"""

from __future__ import annotations

import re
from typing import Final

#: Evidence is a provider's short answer, never a document.
MAX_CHARACTERS: Final = 200
#: A code of RFC 3463; and a reply's code, where one can stand: further numbers may be a telephone's.
_ENHANCED: Final = re.compile(r"\d\.\d{1,3}\.\d{1,3}")
_NUMBER: Final = re.compile(r"\d{1,5}")
_BEFORE_A_CODE: Final = frozenset({"", "http", "smtp", "error", "code", "status"})
_EDGES: Final = "\"'()<>[]{},;:.!?=-"
#: Words of RFC 5321, RFC 3463 and of what common providers write around them.
_WORDS: Final = frozenset(
    """
    a accept accepted access account action again allowed already an and are as at auth authenticate
    authentication available backend bad balance bandwidth because been blacklisted block blocked
    blocklist bounce bounced busy by can cannot certificate cipher client closed closing code
    command complete configured connect connection content contents credentials daily data database
    deferred delayed delivered delivery denied destination did disabled dkim dmarc dns does domain
    down due empty encryption encrypted error exceeded exceeds exhausted exist exists expected
    expired failed failure false fault file for forbidden found from full gateway given greylisted
    greylisting handshake has header heavy host hour http id in inactive incorrect insufficient
    internal invalid is it key large later length limit limited limits line list listed local locked
    login long lost mail mailbox malformed many match max maximum message messages method minute
    minutes missing mode more moved must name negative network no not number of ok on only operation
    option or out over parameter parameters parse password permanent permission policy poor port
    possible problem processing protocol provider queue queued quota rate reached read receive
    received recipient recipients refused reject rejected relay relaying remote reply reputation
    request requested require required resource response retry route routing second seconds secure
    security see send sender sending sent sequence server service session size smtp soon space spam
    spf ssl start starttls state status storage store subscription success such suspected suspended
    syntax system temporarily temporary than that the their this throttled throttling time timeout
    timed tls to token too transaction transient try unable unauthorized unavailable unknown
    unreachable unsupported unverified use user valid value verification verified verify virus
    volume wait was we will with within wrong you your
    """.split()  # noqa: SIM905  # so that people can read it
)


def scrub(text: str, *secrets: str) -> str:
    """A provider's answer, fit to be stored: one line, short, codes and known words alone.

    ``secrets`` go first, even where they are such words.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, " … ")
    kept: list[str] = []
    before = ""
    for word in text.split():
        bare = word.strip(_EDGES).lower()
        is_code = _NUMBER.fullmatch(bare) and before in _BEFORE_A_CODE
        fit = word if is_code or _ENHANCED.fullmatch(bare) or bare in _WORDS else "…"
        if fit != "…" or kept[-1:] != ["…"]:
            kept.append(fit)
        before = bare
    return " ".join(kept)[:MAX_CHARACTERS]
