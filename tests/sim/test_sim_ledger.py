"""The ledger's file, without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.errors import SimulatorError
from firmware_sim.ledger import (
    Danger,
    HappeningLine,
    Ledger,
    Outgoing,
    ReadingLine,
    Summary,
    read_ledger,
)


def reading(time_us: int, *, redated: bool = False) -> ReadingLine:
    return ReadingLine(
        detector="d1",
        source="native",
        address="a",
        time_us=time_us,
        values={"co_ppm": 1.5},
        flags={"co_alarm": False},
        redated=redated,
    )


def sign(time_us: int, *, breach: bool, at_s: float = 1.0) -> Outgoing:
    danger = Danger("flaming_fire", "ger-001", at_s, breach)
    return Outgoing("t", b"", reading=reading(time_us), danger=danger)


def test_a_reading_is_written_as_it_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with Ledger(path) as ledger:
        ledger.acknowledged(Outgoing("t", b"", reading=reading(7)), 10, 12)
        ledger.acknowledged(Outgoing("t", b"online", retain=True), 10, 12)
        ledger.acknowledged(Outgoing("t", b"", aside="garbage", address="a"), 11, 12)
        ledger.acknowledged(Outgoing("t", b"", reading=reading(8, redated=True)), 13, 14)
        summary = ledger.finish(unacknowledged=2)
    line = next(iter(read_ledger(path)))
    assert isinstance(line, ReadingLine)
    assert (line.time_us, line.sent_us, line.acked_us) == (7, 10, 12)
    assert summary == Summary(
        detectors=1,
        published=2,
        redated=1,
        duplicates=0,
        garbage=1,
        dropped=0,
        unacknowledged=2,
        happenings=0,
        sirens=0,
    )
    assert list(read_ledger(path))[-1] == summary


def test_a_danger_is_written_once_with_its_first_sign_and_its_breach(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with Ledger(path) as ledger:
        ledger.acknowledged(sign(1, breach=False), 10, 11)
        ledger.acknowledged(sign(2, breach=True), 20, 21)
        ledger.acknowledged(sign(3, breach=True), 30, 31)
        ledger.acknowledged(sign(4, breach=True, at_s=99.0), 40, 41)
    told = [line for line in read_ledger(path) if isinstance(line, HappeningLine)]
    assert [(line.first_over_us, line.first_breach_us, line.reading_us) for line in told] == [
        (10, 20, 2),
        (40, 40, 4),
    ]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with Ledger(path) as ledger:
        ledger.acknowledged(Outgoing("t", b"", reading=reading(7)), 10, 12)
    path.write_bytes(path.read_bytes() + b'{"line":"reading","det')
    assert len(list(read_ledger(path))) == 1


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text('{"line":"song"}\n')
    with pytest.raises(SimulatorError, match=r"l\.jsonl:1: is no line of a ledger"):
        list(read_ledger(path))


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="cannot be written"), Ledger(tmp_path / "no" / "l"):
        pass
