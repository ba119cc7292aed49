"""Commands of the city: each id once, none after its time."""

from __future__ import annotations

from collections.abc import Callable

from edge.agent.core import Core
from edge.agent.testmode import own_word
from edge.outputs import MAX_SILENCE_S, OUTPUTS_TARGET
from edge.sources.base import Order
from edge.wire.clock import US_PER_S
from edge.wire.errors import WireError
from edge.wire.messages import Command, CommandResult, DetectorSettings, DeviceFact, decode

#: A test mode ends by itself after this at the latest, whatever was asked.
MAX_TEST_S = 30 * 60
DEFAULT_TEST_S = 5 * 60
#: A command may come this much before its time by our clock.
_EARLY_US = 60 * US_PER_S


class Refused(Exception):
    """The command is not carried out, and why."""


class Orders:
    """Carries commands out on the core; what is to be published goes to ``send``."""

    def __init__(
        self,
        site: str,
        core: Core,
        *,
        synced: Callable[[], bool],
        wall_us: Callable[[], int],
        send: Callable[[Order], None],
    ) -> None:
        self._site = site
        self._core = core
        self._synced = synced
        self._wall_us = wall_us
        self._send = send

    def obey(self, payload: bytes) -> CommandResult | None:
        """Carry out the command in the payload; None if it is none, or was carried out before."""
        try:
            command = decode(payload, Command)
        except WireError as error:
            self._core.counters["city"][f"bad_command_{error.reason}"] += 1
            return None
        if command.site != self._site:
            self._core.counters["city"]["bad_command_site_mismatch"] += 1
            return None
        if command.id in self._core.used_commands:
            self._core.counters["city"]["repeated_command"] += 1
            return None
        self._core.used_commands[command.id] = command.expires_us
        self._core.batch.commands[command.id] = command.expires_us
        try:
            detail = self._carry_out(command)
        except Refused as refusal:
            return CommandResult(site=self._site, id=command.id, ok=False, detail=str(refusal))
        return CommandResult(site=self._site, id=command.id, ok=True, detail=detail)

    def _carry_out(self, command: Command) -> str:
        self._check_time(command)
        match command.action:
            case "silence":
                return self._silence(command)
            case "test":
                return self._test(command)
            case "end_test":
                for target in (command.target, own_word(command.target)):
                    self._core.end_test(target, self._core.now_us())
                return "the test mode is over"
            case "self_test":
                return self._self_test(command)

    def _check_time(self, command: Command) -> None:
        if not self._synced():
            return  # only the city's clock can be trusted; the broker keeps no commands
        now_us = self._wall_us()
        if now_us >= command.expires_us:
            raise Refused("it has expired")
        if command.issued_us > now_us + _EARLY_US:
            raise Refused("it is from the future")

    def _silence(self, command: Command) -> str:
        """The site's sirens about these alarms, and the detectors themselves where they can."""
        for_s = command.arguments.get("for_s", MAX_SILENCE_S)
        if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not for_s > 0:
            raise Refused(f"for_s: expected seconds, {MAX_SILENCE_S:g} at most")
        alarms = [
            alarm
            for alarm in self._core.alarms()
            if command.target in (alarm.id, alarm.detector) or command.target == OUTPUTS_TARGET
        ]
        if not alarms:
            raise Refused("no such alarm is active")
        self._core.sounding.silence([alarm.id for alarm in alarms], self._core.now_us(), for_s=for_s)
        told = 0
        for detector in dict.fromkeys(alarm.detector for alarm in alarms):
            order = self._core.order_of(detector, "silence", command.id)
            if order is not None:
                self._send(order)
                told += 1
        shortest_s = min(for_s, MAX_SILENCE_S)
        return f"{len(alarms)} silenced for {shortest_s:g} s, {told} detectors told"

    def _test(self, command: Command) -> str:
        if not self._synced():
            raise Refused("the site's clock is not set; a test mode could not end")
        self._known(command.target)
        now_us = self._wall_us()
        asked_us = command.arguments.get("until_us", now_us + DEFAULT_TEST_S * US_PER_S)
        if not isinstance(asked_us, int) or isinstance(asked_us, bool) or asked_us <= now_us:
            raise Refused("until_us: expected a time to come, µs UTC")
        until_us = min(asked_us, now_us + MAX_TEST_S * US_PER_S)
        only = command.arguments.get("only")
        if only not in (None, "own_word"):
            raise Refused("only: expected own_word, or nothing")
        self._core.start_test(own_word(command.target) if only else command.target, until_us)
        return f"test mode until {until_us}"

    def _self_test(self, command: Command) -> str:
        """An output, all of them, or a detector by its own protocol."""
        target = command.target
        if target == OUTPUTS_TARGET or target in self._core.sounding.sirens:
            if not self._synced():
                raise Refused("the site's clock is not set; the outputs' test mode could not end")
            tried = self._core.test_outputs(target)
            if tried:
                return f"{tried} outputs are tried"
            if target == OUTPUTS_TARGET:
                raise Refused("there is nothing to try, or it sounds already")
        self._known(target)
        order = self._core.order_of(target, "self_test", command.id)
        if order is None:
            raise Refused("this detector cannot be told to test itself")
        self._send(order)
        return "the detector was told"

    def _known(self, target: str) -> DeviceFact | DetectorSettings:
        fact = self._core.devices.fact(target)
        if fact is None and target in self._core.config.detectors:
            return self._core.config.detectors[target]
        if fact is None:
            raise Refused("no such detector at this site")
        return fact
