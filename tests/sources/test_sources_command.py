"""``utaa edge decode``: a payload by hand."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from edge.sources.command import decode
from edge.wire.identity import detector_id


@pytest.fixture
def run() -> Runner:
    return Runner()


class Runner:
    """The command as a program of its own."""

    def __init__(self) -> None:
        self._app = typer.Typer()
        self._app.command()(decode)

    def __call__(self, payload: str | bytes, *arguments: str) -> Result:
        raw = payload.encode() if isinstance(payload, str) else payload
        return CliRunner().invoke(self._app, list(arguments), input=raw)


KITCHEN = ("--source", "native", "--topic", "utaa/v1/detector/kitchen-1/reading")


def test_a_reading_is_one_json_object_on_one_line(run: Runner) -> None:
    result = run('{"co_ppm":4.5,"smoke_alarm":false,"time":"2026-01-31T19:12:00+08:00"}', *KITCHEN,
                 "--received", "2026-01-31T11:12:01Z")  # fmt: skip
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "detector": detector_id("demo", "native", "kitchen-1"),
            "address": "kitchen-1",
            "time": "2026-01-31T11:12:00.000000Z",
            "co_ppm": 4.5,
            "smoke_alarm": False,
        }
    ]


def test_a_batch_is_a_line_for_each_reading(run: Runner) -> None:
    result = run('[{"time":1769857920,"co_ppm":1},{"time":1769857921,"co_ppm":2}]', *KITCHEN)
    assert [json.loads(line)["co_ppm"] for line in result.stdout.splitlines()] == [1, 2]


def test_facts_are_shown_when_asked_for(run: Runner) -> None:
    payload = '{"maker":"Utaa","co_ppm":1}'
    assert len(run(payload, *KITCHEN).stdout.splitlines()) == 1
    lines = run(payload, *KITCHEN, "--facts").stdout.splitlines()
    assert json.loads(lines[1])["fact"]["maker"] == "Utaa"


def test_another_site_is_another_detector(run: Runner) -> None:
    result = run('{"co_ppm":1}', *KITCHEN, "--site", "home-7")
    assert json.loads(result.stdout)["detector"] == detector_id("home-7", "native", "kitchen-1")


def test_a_bad_payload_is_one_line_on_stderr_with_its_reason(run: Runner) -> None:
    result = run("{", *KITCHEN)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "truncated" in result.stderr


def test_an_unknown_source_lists_the_known_ones(run: Runner) -> None:
    result = run("{}", "--source", "zigbee", "--topic", "x")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    for name in ("native", "zigbee2mqtt", "chirpstack"):
        assert name in result.stderr


@pytest.mark.parametrize("arguments", [("--received", "noon"), ("--site", "A B")])
def test_a_wrong_argument_is_one_line_and_exit_code_2(run: Runner, arguments: tuple[str, str]) -> None:
    result = run('{"co_ppm":1}', *KITCHEN, *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_repair_is_told_on_stderr(run: Runner) -> None:
    result = run('{"co_ppm":1,"time":0}', *KITCHEN)
    assert result.exit_code == 0
    assert result.stderr.strip() == "utaa: repaired: time_too_old"
