"""Fails a run in which anything printed or logged a personal or secret value of the shared fixtures.

Every test's captured output is searched (``tests.canaries.EVERYWHERE``), also that of processes it
started; what pytest itself prints of a failed test is not. The servers that only tests run may say
what they like.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.canaries import EVERYWHERE, found_in

#: Loggers of servers and drivers that only tests switch on.
_OTHERS = re.compile(r"^\S+ +(mail\.|aiosqlite|aiosmtpd|hypothesis|faker)")


class LeakWatch:
    """What was found so far, as ``test: value``."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def look(self, report: Any) -> None:
        """Search a report's captured output, where the test itself did not fail."""
        if report.failed:
            return
        for title, text in report.sections:
            lines = [line for line in text.splitlines() if not _OTHERS.match(line)]
            names = found_in("\n".join(lines), EVERYWHERE) if lines else []
            told = [f"{report.nodeid} ({title}): {name}" for name in names]
            self.found += [line for line in told if line not in self.found]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.look(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.found:
            terminalreporter.section(
                "personal or secret values in what was printed or logged", red=True
            )
            for line in self.found:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Once for a run: workers send their reports to the first process."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(LeakWatch(), "leakwatch")
