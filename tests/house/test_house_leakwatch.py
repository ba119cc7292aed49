"""The watch over what a run of tests prints finds a value in any form, and fails the run."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from tests.canaries import EVERYWHERE, found_in, planted
from tests.leakwatch import LeakWatch

ADDRESS = EVERYWHERE["a resident's address"]


@pytest.mark.parametrize(
    "written",
    [
        ADDRESS, json.dumps({"a": ADDRESS}), f"GET /?q={quote(ADDRESS)}", ADDRESS.encode().hex(),
        base64.b64encode(ADDRESS.encode()).decode(), repr(ADDRESS.encode()),
        *(base64.b64encode(b"x" * shift + ADDRESS.encode() + b"yz").decode() for shift in range(4)),
    ],
)  # fmt: skip
def test_a_value_is_found_however_it_is_written(written: str) -> None:
    assert found_in(f"… {written} …", EVERYWHERE) == ["a resident's address"]
    assert found_in("… nothing of it …", EVERYWHERE) == []


def test_every_planted_value_is_another_one_each_time() -> None:
    assert not set(planted().values()) & set(planted().values())


def _report(text: str, *, failed: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        failed=failed, nodeid="tests/x.py::test_y", sections=[("Captured stderr call", text)]
    )


def test_a_run_that_prints_one_fails_and_says_which_test_it_was() -> None:
    watch = LeakWatch()
    watch.look(_report("all is well"))
    watch.look(_report(f"WARNING  mail.log:smtp.py:1 {ADDRESS}"))
    watch.look(_report(ADDRESS, failed=True))
    assert watch.found == []
    watch.look(_report(f"WARNING  gateway.http:x.py:1 {ADDRESS}"))
    assert watch.found == ["tests/x.py::test_y (Captured stderr call): a resident's address"]
    session = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    watch.pytest_sessionfinish(session)  # type: ignore[arg-type]
    assert session.exitstatus == pytest.ExitCode.TESTS_FAILED


def test_this_very_run_is_watched(request: pytest.FixtureRequest) -> None:
    plugins = request.config.pluginmanager
    assert plugins.hasplugin("leakwatch") or hasattr(request.config, "workerinput")
