"""The code flow with PKCE: out with state, nonce and a challenge, back with a code.

Sources: RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0. ``dan`` is the profile of Mongolia's
DAN as far as it is publicly described (from memory, not tried against the state's own server): plain
OAuth 2, the scope a base64 JSON of the services asked for, and who it is in a service's answer.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import (  # type: ignore[import-untyped]  # it ships no types
    create_s256_code_challenge,
)
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from edge.wire.clock import US_PER_S, Clock
from registry.identity import same_secret
from registry.outward import Guard, OutwardRefused, client
from registry.sealed import Keyring, KeyringError, Sealed

Profile = Literal["oidc", "dan"]
Reason = Literal["unreachable", "ticket", "denied", "answer"]
_PURPOSE: Final = "signin.ticket"
#: A visitor has this long at the provider.
TICKET_US: Final = 600 * US_PER_S
_TIMEOUT_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 256 * 1024
#: Signatures we believe: by a key of the provider's. None at all, or one by our own secret, is none.
_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
_LEEWAY_US: Final = 60 * US_PER_S
_MAX_SUBJECT: Final = 255
#: What DAN is asked for: whose card it is.
DAN_SERVICE: Final = "WS100101_getCitizenIDCardInfo"
DAN_WSDL: Final = "https://xyp.gov.mn/citizen-1.3.0/ws?WSDL"
_DAN_SUBJECT: Final = "regnum"


class ProviderError(Exception):
    """The sign-in did not come about. ``reason`` is closed; no text of the provider's is in it."""

    def __init__(self, reason: Reason, where: str) -> None:
        super().__init__(f"{reason}: {where}")
        self.reason: Reason = reason


@dataclass(frozen=True)
class ProviderSettings:
    """How we are known there. For ``dan`` the three addresses are given; for ``oidc`` discovered."""

    name: str
    issuer: str
    client_id: str
    client_secret: str
    profile: Profile = "oidc"
    authorize_url: str = ""
    token_url: str = ""
    service_url: str = ""
    trusted_second_factor: bool = False

    def __repr__(self) -> str:
        return f"ProviderSettings({self.name})"


@dataclass(frozen=True)
class Named:
    """Whom the provider named, and where they wanted to go."""

    issuer: str
    subject: str
    next: str

    def __repr__(self) -> str:
        return "Named(…)"


class Provider:
    """One provider, over the network's guard."""

    def __init__(
        self, settings: ProviderSettings, keyring: Keyring, clock: Clock, guard: Guard
    ) -> None:
        self.settings = settings
        self._keyring = keyring
        self._clock = clock
        self._guard = guard

    async def begin(self, callback: str, next: str) -> tuple[str, str]:
        """Where to send the visitor, and the sealed ticket for their cookie."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        metadata = await self._metadata()
        asked = {
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": callback,
            "scope": self._scope(), "state": state,
            "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        if self.settings.profile == "oidc":
            asked["nonce"] = nonce
        address = metadata["authorization_endpoint"]
        ticket = self.seal({"state": state, "nonce": nonce, "verifier": verifier, "next": next})
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", ticket

    async def finish(self, ticket: str, answer: dict[str, str], callback: str) -> Named:
        """Whom the provider named in its answer to this ticket. Raises ``ProviderError``."""
        kept = self.open(ticket)
        if not same_secret(answer.get("state", ""), kept.get("state", "\0")):
            raise ProviderError("ticket", "state")
        if "error" in answer or not answer.get("code"):
            raise ProviderError("denied", "the provider gave no code")
        metadata = await self._metadata()
        if answer.get("iss", self.settings.issuer) != self.settings.issuer:
            raise ProviderError("answer", "iss")
        tokens = await self._ask(
            "POST", metadata["token_endpoint"],
            data={
                "grant_type": "authorization_code", "code": answer["code"],
                "redirect_uri": callback, "client_id": self.settings.client_id,
                "client_secret": self.settings.client_secret, "code_verifier": kept["verifier"],
            },
        )  # fmt: skip
        if self.settings.profile == "dan":
            subject = await self._dan_subject(tokens)
        else:
            subject = await self._id_subject(tokens, metadata, kept["nonce"])
        if not 1 <= len(subject) <= _MAX_SUBJECT:
            raise ProviderError("answer", "subject")
        return Named(self.settings.issuer, subject, kept["next"])

    def seal(self, content: dict[str, str]) -> str:
        """A cookie's text that only we can read, for ``TICKET_US``."""
        text = json.dumps({**content, "until": self._clock.now_us() + TICKET_US})
        return base64.urlsafe_b64encode(self._keyring.seal(text, _PURPOSE).blob).decode()

    def open(self, ticket: str) -> dict[str, Any]:
        """What was sealed. Raises ``ProviderError`` for one that is altered, foreign or too old."""
        try:
            blob = base64.urlsafe_b64decode(ticket.encode("ascii"))
            content: dict[str, Any] = json.loads(self._keyring.open(Sealed(blob), _PURPOSE))
        except (ValueError, KeyringError):
            raise ProviderError("ticket", "none of ours") from None
        if content["until"] <= self._clock.now_us():
            raise ProviderError("ticket", "too old")
        return content

    def _scope(self) -> str:
        if self.settings.profile == "oidc":
            return "openid"
        wanted = [{"services": [DAN_SERVICE], "wsdl": DAN_WSDL}]
        return base64.b64encode(json.dumps(wanted).encode()).decode()

    async def _metadata(self) -> dict[str, Any]:
        if self.settings.profile == "dan":
            return {
                "authorization_endpoint": self.settings.authorize_url,
                "token_endpoint": self.settings.token_url,
            }
        found = await self._ask(
            "GET", self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        )
        if found.get("issuer") != self.settings.issuer:
            raise ProviderError("answer", "issuer of the metadata")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(name), str):
                raise ProviderError("answer", name)
        return dict(found)

    async def _id_subject(self, tokens: dict[str, Any], metadata: dict[str, Any], nonce: str) -> str:
        keys = await self._ask("GET", metadata["jwks_uri"])
        try:
            claims = jwt.decode(
                str(tokens.get("id_token", "")),
                KeySet.import_key_set(keys),
                algorithms=_ALGORITHMS,
            ).claims
        except (JoseError, ValueError, KeyError, TypeError):
            raise ProviderError("answer", "id_token") from None
        self._check(claims, nonce)
        return str(claims["sub"])

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        """OpenID Connect Core 3.1.3.7, as far as it is ours. Raises ``ProviderError``."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        now_us, mine = self._clock.now_us(), self.settings.client_id
        expires, made = claims.get("exp"), claims.get("iat")
        wrong = {
            "iss": claims.get("iss") != self.settings.issuer,
            "aud": mine not in audiences,
            "azp": claims.get("azp", mine) != mine or (len(audiences) > 1 and "azp" not in claims),
            "exp": not isinstance(expires, int | float) or expires * US_PER_S <= now_us - _LEEWAY_US,
            "iat": not isinstance(made, int | float) or made * US_PER_S > now_us + _LEEWAY_US,
            "nonce": not same_secret(str(claims.get("nonce", "")), nonce),
            "sub": not isinstance(claims.get("sub"), str),
        }
        for name, bad in wrong.items():
            if bad:
                raise ProviderError("answer", name)

    async def _dan_subject(self, tokens: dict[str, Any]) -> str:
        token = tokens.get("access_token")
        if not isinstance(token, str):
            raise ProviderError("answer", "access_token")
        answer = await self._ask(
            "GET", self.settings.service_url, headers={"Authorization": f"Bearer {token}"}
        )
        subject = _value_of(answer, _DAN_SUBJECT)
        if not isinstance(subject, str):
            raise ProviderError("answer", _DAN_SUBJECT)
        return subject.strip().upper()

    async def _ask(self, method: str, url: str, **sent: Any) -> Any:
        """The provider's JSON. Raises ``ProviderError``."""
        try:
            async with client(self._guard, _TIMEOUT_S) as asking:
                answer = await asking.request(method, url, **{"headers": {}, **sent})
        except (httpx.HTTPError, OutwardRefused):
            raise ProviderError("unreachable", method) from None
        if answer.status_code != 200 or len(answer.content) > _MAX_ANSWER_BYTES:
            raise ProviderError("answer", f"HTTP {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            raise ProviderError("answer", "no JSON") from None
        if not isinstance(found, dict | list):
            raise ProviderError("answer", "no object")
        return found


def _value_of(found: Any, name: str, depth: int = 8) -> Any:
    """The first value of this name, however deep the services wrap it."""
    if depth == 0:
        return None
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    if isinstance(found, dict) and isinstance(found.get(name), str):
        return found[name]
    return next((got for each in inner if (got := _value_of(each, name, depth - 1))), None)
