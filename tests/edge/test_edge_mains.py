"""A box tells of a power cut, where its kernel knows of its supply."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.agent.mains import Mains, mains_online


def supply(folder: Path, name: str, kind: str, online: str | None) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "type").write_text(kind + "\n")
    if online is not None:
        (folder / name / "online").write_text(online + "\n")


def test_a_cut_is_told_once_it_is_steady_and_its_end_too(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", "Battery", None)
    supply(tmp_path, "AC", "Mains", "1")
    mains = Mains(tmp_path)
    assert [mains.look() for _ in range(3)] == [None] * 3
    supply(tmp_path, "AC", "Mains", "0")
    assert mains.look() is None, "it may be a flicker"
    supply(tmp_path, "AC", "Mains", "1")
    assert [mains.look() for _ in range(2)] == [None] * 2
    supply(tmp_path, "AC", "Mains", "0")
    assert [mains.look() for _ in range(3)] == [None, "mains_lost", None]
    supply(tmp_path, "AC", "Mains", "1")
    assert [mains.look() for _ in range(3)] == [None, "mains_back", None]


@pytest.mark.parametrize(
    ("supplies", "online"),
    [
        ([], None), ([("BAT0", "Battery", "1")], None), ([("AC", "Mains", None)], None),
        ([("AC", "Mains", "0"), ("USB", "USB", "1")], True), ([("UPS", "UPS", "0")], False),
    ],
)  # fmt: skip
def test_only_the_mains_count(
    tmp_path: Path, supplies: list[tuple[str, str, str | None]], online: bool | None
) -> None:
    for name, kind, said in supplies:
        supply(tmp_path, name, kind, said)
    assert mains_online(tmp_path) is online
    assert mains_online(tmp_path / "none") is None
