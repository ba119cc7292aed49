"""What the broker should let each client do: roles from the topics, clients from the certificates.

Pure: ``wanted(issued, now)`` gives the state, ``steps(wanted, present)`` the commands that lead there.
Nothing is allowed that is not named: publishing, receiving and subscribing are all denied by default.

The words of Mosquitto's dynamic-security plugin (mosquitto 2): a ``subscribeLiteral`` rule compares the
filter as it was sent, so only a role that holds the very text ``$share/<group>/…`` may join that group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from edge.wire import topics
from edge.wire.topics import DOWNLINK_LEAVES, ROOT, UPLINK_LEAVES
from gateway.broker.ca import Issued

#: (acltype, topic)
Rule = tuple[str, str]
#: What the broker says where no rule does.
DEFAULT_ACCESS: Final[dict[str, bool]] = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}
ADMIN_ROLE: Final = "admin"
#: Ours to write and to delete; roles and clients of other names are somebody else's.
_OURS: Final = ("site.", "gateway.", "device.", "admin.")
DOCTOR_TOPIC: Final = f"{ROOT}/doctor"


@dataclass(frozen=True)
class Rights:
    """Roles with their rules, and the role of each client."""

    roles: Mapping[str, frozenset[Rule]] = field(default_factory=dict)
    clients: Mapping[str, str] = field(default_factory=dict)


def site_rules(site: str) -> frozenset[Rule]:
    """A site says and hears what is its own; it cannot speak as the city, not even to itself."""
    said = {("publishClientSend", topics.site_topic(site, leaf)) for leaf in UPLINK_LEAVES}
    heard = {
        (rule, topics.site_topic(site, leaf))
        for leaf in DOWNLINK_LEAVES
        for rule in ("subscribeLiteral", "publishClientReceive")
    }
    return frozenset(said | heard)


def gateway_rules() -> frozenset[Rule]:
    """A worker reads all sites, alone or in the shared group, and answers each of them."""
    heard: set[Rule] = set()
    for leaf in UPLINK_LEAVES:
        heard.add(("publishClientReceive", topics.ingest_filter(leaf, shared=False)))
        heard |= {("subscribeLiteral", topics.ingest_filter(leaf, shared=s)) for s in (True, False)}
    said = {("publishClientSend", topics.site_topic("+", leaf)) for leaf in DOWNLINK_LEAVES}
    doctor = {(rule, DOCTOR_TOPIC) for rule in ("subscribeLiteral", "publishClientReceive")}
    return frozenset(heard | said | doctor | {("publishClientSend", DOCTOR_TOPIC)})


def device_rules(address: str) -> frozenset[Rule]:
    """A detector on its site's own broker: its readings, status and answers; its commands."""
    said = {
        ("publishClientSend", topics.detector_topic(address, leaf))
        for leaf in ("reading", "status", "answer")
    }
    command = topics.detector_topic(address, "command")
    return frozenset(said | {("subscribeLiteral", command), ("publishClientReceive", command)})


def admin_rules() -> frozenset[Rule]:
    """Whoever keeps the rules may do that and nothing else."""
    control = "$CONTROL/dynamic-security/#"
    return frozenset(
        (rule, control) for rule in ("publishClientSend", "publishClientReceive", "subscribePattern")
    )


def role_of(issued: Issued) -> str | None:
    """The role that a certificate's name has; None for a broker's, which is no client."""
    if issued.kind == "broker":
        return None
    return issued.kind if issued.kind in ("gateway", "admin") else f"{issued.kind}.{issued.name}"


def wanted(issued: Iterable[Issued], now: datetime) -> Rights:
    """The rights that follow from the valid certificates."""
    roles: dict[str, frozenset[Rule]] = {"gateway": gateway_rules(), ADMIN_ROLE: admin_rules()}
    clients: dict[str, str] = {}
    for each in issued:
        role = role_of(each)
        if role is None or not each.valid(now):
            continue
        clients[each.identity] = role
        if each.kind == "site":
            roles[role] = site_rules(each.name)
        elif each.kind == "device":
            roles[role] = device_rules(each.name)
    return Rights(roles, clients)


def steps(want: Rights, present: Rights) -> list[dict[str, Any]]:
    """The plugin's commands from what it has to what it should have; none where they agree.

    Taking away comes first, so that a revoked name is out before anything else is done.
    """
    commands: list[dict[str, Any]] = []
    for name in sorted(present.clients):
        if name not in want.clients and name.startswith(_OURS):
            commands.append({"command": "deleteClient", "username": name})
    for role in sorted(present.roles):
        if role not in want.roles and role.startswith(_OURS):
            commands.append({"command": "deleteRole", "rolename": role})
    for role in sorted(want.roles):
        if present.roles.get(role) != want.roles[role]:
            verb = "modifyRole" if role in present.roles else "createRole"
            commands.append({"command": verb, "rolename": role, "acls": _acls(want.roles[role])})
    for name, role in sorted(want.clients.items()):
        if present.clients.get(name) != role:
            verb = "modifyClient" if name in present.clients else "createClient"
            commands.append({"command": verb, "username": name, "roles": [{"rolename": role}]})
    return commands


def first_file(admin_identity: str) -> dict[str, Any]:
    """The plugin's own file for a broker that starts for the first time: one administrator."""
    return {
        "defaultACLAccess": dict(DEFAULT_ACCESS),
        "clients": [{"username": admin_identity, "roles": [{"rolename": ADMIN_ROLE}]}],
        "roles": [{"rolename": ADMIN_ROLE, "acls": _acls(admin_rules())}],
    }


def _acls(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    return [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in sorted(rules)
    ]
