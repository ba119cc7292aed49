"""The dry run: who would be told when, by a policy, without telling anybody. Pure."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from alerts.policy import DEFAULT_POLICY, HAZARDS, Policy, due
from edge.wire.clock import US_PER_S


class PolicyError(ValueError):
    """The policy file is wrong: where, and what was expected. One line."""


class Step(NamedTuple):
    """One rung as it would be climbed."""

    at_us: int | None
    rung: int
    contacts: str
    channels: str
    message: str
    why: str
    #: who is told beside the household's own
    also: tuple[str, ...] = ()
    #: a CAP message is made ready
    cap: bool = False


def load_policy(path: Path | None) -> Policy:
    """The city's policy: the file's hazards in place of the built-in ones. Raises ``PolicyError``."""
    if path is None:
        return DEFAULT_POLICY
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}; expected a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from None
    merged = msgspec.to_builtins(DEFAULT_POLICY) | table
    try:
        policy = msgspec.convert(merged, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path}: {error}") from None
    for hazard in HAZARDS:
        _check(path, hazard, policy)
    return policy


def _check(path: Path, hazard: str, policy: Policy) -> None:
    rule = policy.rule(hazard)
    if not rule.rungs or rule.rungs[0].after_s != 0:
        raise PolicyError(f"{path}: {hazard}: expected a first rung with after_s = 0")
    timed = [rung.timed_s for rung in rule.rungs if rung.timed_s is not None]
    if any(later <= earlier for earlier, later in pairwise(timed)):
        raise PolicyError(f"{path}: {hazard}: expected rungs with growing after_s")
    if rule.hours is not None and not 0 <= rule.hours[0] < rule.hours[1] <= 24:
        raise PolicyError(f"{path}: {hazard}: expected hours such as [8, 20]")
    if rule.priority not in (0, 1, 2):
        raise PolicyError(f"{path}: {hazard}: expected a priority of 0, 1 or 2")
    if hazard in ("fire", "co") and (rule.hours is not None or rule.collect_s or rule.priority):
        raise PolicyError(f"{path}: {hazard}: an alarm never waits: no hours, no collect_s, priority 0")


def dry_run(policy: Policy, hazard: str, now_us: int) -> list[Step]:
    """The ladder of one hazard that opens now and that nobody acknowledges."""
    rule = policy.rule(hazard)
    when = due(rule, now_us, None)
    steps = []
    for number, rung in enumerate(rule.rungs):
        if rung.timed_s is None:
            at_us, why = None, "whom_the_rung_before_did_not_reach"
        elif number == 0:
            at_us, why = when.due_us, str(when.reason)
        else:
            at_us, why = now_us + int(rung.timed_s * US_PER_S), "not_acknowledged"
        steps.append(
            Step(at_us, number, rung.contacts, rung.channels, rule.message, why, rung.also, rung.cap)
        )
    others = tuple(dict.fromkeys(who for rung in rule.rungs[1:] for who in rung.also))
    if others and hazard in ("fire", "co"):
        near = f"another_home_burns_within_{policy.together.within_m:g}_m"
        cap = any(rung.cap for rung in rule.rungs)
        steps.append(Step(None, 0, "none", "all", rule.message, near, others, cap))
    return steps
