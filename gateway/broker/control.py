"""Speaks with Mosquitto's dynamic-security plugin over its ``$CONTROL`` topic.

``bring(broker, wanted)`` reads what the plugin has, sends what is missing in small batches and reads
again: it returns only when the broker has it, and running it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt

from gateway.broker.files import CertificateProblem, TlsFiles
from gateway.broker.rules import DEFAULT_ACCESS, Rights, steps

_TOPIC: Final = "$CONTROL/dynamic-security/v1"
#: Commands in one message; the plugin answers each message as a whole.
_BATCH: Final = 50
#: Roles or clients asked for at a time.
_PAGE: Final = 500
_ANSWER_S: Final = 10.0


class ControlError(Exception):
    """The broker's rules could not be read or written; one line says why."""


@dataclass(frozen=True)
class Door:
    """Where the broker is, and the files that let an administrator in."""

    host: str
    port: int
    files: TlsFiles


class _Line:
    """One conversation: a question, its answer."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._answers = aiter(client.messages)

    async def ask(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        await self._client.publish(_TOPIC, json.dumps({"commands": commands}), qos=1)
        try:
            async with asyncio.timeout(_ANSWER_S):
                message = await anext(self._answers)
        except TimeoutError:
            raise ControlError(
                "the broker did not answer: is the dynamic-security plugin loaded, and is this "
                "certificate an administrator's?"
            ) from None
        answers: list[dict[str, Any]] = json.loads(bytes(message.payload))["responses"]
        for answer in answers:
            if "error" in answer:
                raise ControlError(f"{answer.get('command')}: {answer['error']}")
        return answers

    async def listed(self, command: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            asked = {"command": command, "verbose": True, "count": _PAGE, "offset": len(found)}
            data = (await self.ask([asked]))[0]["data"]
            found += data[key]
            if len(found) >= data["totalCount"] or not data[key]:
                return found


async def bring(door: Door, want: Rights, *, only_look: bool = False) -> list[dict[str, Any]]:
    """Give the broker these rights; the commands it needed (or would need, with ``only_look``).

    Raises ``ControlError``.
    """
    try:
        async with aiomqtt.Client(door.host, door.port, tls_context=door.files.context()) as client:
            await client.subscribe(f"{_TOPIC}/response", qos=1)
            line = _Line(client)
            await _defaults(line, only_look)
            needed = steps(want, await _present(line))
            if only_look:
                return needed
            for start in range(0, len(needed), _BATCH):
                await line.ask(needed[start : start + _BATCH])
            if left := steps(want, await _present(line)):
                raise ControlError(f"the broker took the rules but lacks {len(left)} of them")
            return needed
    except CertificateProblem as error:
        raise ControlError(str(error)) from None
    except aiomqtt.MqttError as error:
        raise ControlError(f"{door.host}:{door.port} does not let us in: {error}") from None


async def _defaults(line: _Line, only_look: bool) -> None:
    """What no rule names is denied, whatever an earlier hand has set."""
    if only_look:
        return
    acls = [{"acltype": kind, "allow": allow} for kind, allow in DEFAULT_ACCESS.items()]
    await line.ask([{"command": "setDefaultACLAccess", "acls": acls}])


async def _present(line: _Line) -> Rights:
    roles = {
        role["rolename"]: frozenset(
            (acl["acltype"], acl["topic"]) for acl in role.get("acls", []) if acl["allow"]
        )
        for role in await line.listed("listRoles", "roles")
    }
    clients = {
        client["username"]: ",".join(sorted(held["rolename"] for held in client.get("roles", [])))
        for client in await line.listed("listClients", "clients")
        if not client.get("disabled")
    }
    return Rights(roles, clients)
