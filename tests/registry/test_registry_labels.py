"""Labels and printed documents: ids, papers, what lies where, and what is on the paper."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gateway.registry_commands import app
from registry.cameras.models import Camera
from registry.codes import ALPHABET, check_character, encoded, folded, grouped, has_good_check
from registry.db import Database
from registry.labels.papers import PAPERS
from registry.labels.service import Labelled, new_label_id
from registry.labels.sheet import sheet, sheet_data
from registry.printing.typeset import pages, qr_svg

AT_US = 1_790_000_000_000_000
_codes = st.text(ALPHABET, min_size=1, max_size=20)


@given(_codes, st.data())
def test_one_wrong_character_never_passes_the_check(code: str, data: st.DataObject) -> None:
    whole = code + check_character(code)
    assert has_good_check(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(whole[place], "")))
    assert not has_good_check(whole[:place] + other + whole[place + 1 :])


@given(_codes, st.data())
def test_two_swapped_neighbours_are_noticed(code: str, data: st.DataObject) -> None:
    whole = code + check_character(code)
    place = data.draw(st.integers(0, len(whole) - 2))
    left, right = whole[place], whole[place + 1]
    if left != right and {left, right} != {"0", "Z"}:
        assert not has_good_check(whole[:place] + right + left + whole[place + 2 :])


def test_a_code_is_read_however_it_is_typed() -> None:
    assert folded(" ab-cd 0oIl ") == "ABCD0011"
    assert grouped("ABCDEFGHJK") == "ABCDE-FGHJK"
    assert encoded(bytes(5), 8) == "0" * 8 and encoded(b"\xff" * 5, 8) == "Z" * 8
    assert not has_good_check("") and not has_good_check("UUU")


def test_ids_are_random_and_carry_their_check() -> None:
    made = {new_label_id() for _ in range(500)}
    assert len(made) == 500 and all(len(one) == 9 and has_good_check(one) for one in made)


@pytest.mark.parametrize("name", PAPERS)
def test_every_label_lies_on_the_sheet_and_beside_its_neighbours(name: str) -> None:
    paper, laid = PAPERS[name], PAPERS[name].layout()
    assert laid["left_mm"] >= -0.01 and laid["top_mm"] >= -0.01
    assert laid["left_mm"] + (paper.columns - 1) * laid["pitch_x_mm"] + paper.width_mm <= 210.01
    assert laid["top_mm"] + (paper.rows - 1) * laid["pitch_y_mm"] + paper.height_mm <= 297.01
    assert laid["pitch_x_mm"] >= paper.width_mm and laid["pitch_y_mm"] >= paper.height_mm
    # the code's quiet zone: four of its modules (at most 37 across) on every side
    code_mm = min(paper.height_mm - 2 * laid["inset_mm"], 24)
    assert laid["inset_mm"] * 0.85 >= 4 * code_mm / 37 * 0.8


def _labels(count: int) -> list[Labelled]:
    return [Labelled(new_label_id(), "camera", str(n), f"Өү-{n:04d}") for n in range(count)]


def test_a_sheet_begins_where_the_last_one_ended_and_goes_on(tmp_path: Path) -> None:
    data = sheet_data(
        _labels(24), paper="3x8-70x37", base_url="https://c.test/", owner="Дархан", skip=1
    )
    assert len(pages("labels", data)) == 2
    whole = sheet(data, at_us=AT_US)
    assert whole == sheet(data, at_us=AT_US) and whole.startswith(b"%PDF-")
    text = _text(whole, tmp_path)
    assert "Өү-0023" in text and "Хяналтын камер" in text and data["labels"][0]["id"] in text


def test_what_cannot_be_printed_is_said_in_one_line() -> None:
    for wrong in ({"paper": "letter"}, {"skip": 24}, {"skip": -1}):
        given_ = {"paper": "3x8-70x37", "base_url": "https://c.test", "owner": "", **wrong}
        with pytest.raises(ValueError, match="expected"):
            sheet_data(_labels(1), **given_)


def test_a_qr_code_holds_only_the_address() -> None:
    assert qr_svg("https://c.test/q/ABC").startswith("<svg") and "ABC" not in qr_svg(
        "https://c.test/q/ABC"
    )


def test_labels_are_printed_from_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "utaa.toml").write_text(f'[registry]\ndata_dir = "{tmp_path}/city"\n')
    (tmp_path / "home.toml").write_text('[[site]]\nid = "home"\n')

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", "utaa.toml"])

    assert call("import", "home.toml", "--create").exit_code == 0
    words = ("labels", "--url", "https://c.test", "-o", "labels.pdf")
    nothing = call(*words)
    assert nothing.exit_code == 1 and "no camera to label" in nothing.stderr
    asyncio.run(_enter_camera(f"sqlite:///{tmp_path}/city/city.sqlite"))
    told = json.loads(call(*words, "--json").stdout)
    assert (told["labels"], told["sheets"]) == (1, 1)
    assert (tmp_path / "labels.pdf").read_bytes().startswith(b"%PDF-")
    wrong = call(*words, "--paper", "letter")
    assert wrong.exit_code == 1 and "3x8-70x37" in wrong.stderr


async def _enter_camera(url: str) -> None:
    database = Database(url)
    async with database.write() as session:
        session.add(Camera(id="c1", number="К-1", created_us=0))
    await database.close()


def _text(content: bytes, folder: Path) -> str:
    """The text of a PDF; skips where Debian's poppler-utils are not installed."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    (folder / "printed.pdf").write_bytes(content)
    ran = subprocess.run(
        ["pdftotext", "-layout", folder / "printed.pdf", "-"], capture_output=True, check=True
    )
    return ran.stdout.decode()
