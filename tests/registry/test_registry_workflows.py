"""Every state, action and actor of specifications, findings and requests; numbers; costs; files."""

from __future__ import annotations

import asyncio
from datetime import date
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.costs.models import LinkCost
from registry.costs.report import Month, amount_in, as_csv, month_of, months, summed
from registry.db import Base, Database
from registry.files import FileMissing, FileRefused, FileStore, media_type_of
from registry.inspections import workflow as findings
from registry.inspections.suggest import ANALOGUE, SHORT_RETENTION, breaches
from registry.numbering import NumberSeries, next_number
from registry.requests import workflow as requests
from registry.rights import Actor
from registry.specifications import workflow as specifications
from registry.specifications.content import KINDS, template
from registry.steps import StepRefused, step_of

AUTHOR, OTHER, REVIEWER = "author", "other", "reviewer"
#: state → move → who may take it: of the author, another decider, the one who took it into review
SPECIFICATION = {
    "draft": {"submit": {AUTHOR, OTHER, REVIEWER}},
    "submitted": {"take": {OTHER, REVIEWER}},
    "review": {"return": {REVIEWER}, "reject": {REVIEWER}, "approve": {REVIEWER}},
    "returned": {"submit": {AUTHOR, OTHER, REVIEWER}},
    "rejected": {},
    "approved": {},
    "superseded": {},
}


@pytest.mark.parametrize(
    ("state", "move", "who"),
    list(product(specifications.STATES, specifications.MOVES, (AUTHOR, OTHER, REVIEWER))),
)
def test_a_specification_moves_exactly_as_its_table_says(state: str, move, who: str) -> None:
    actor = Actor(who, "staff")
    allowed = who in SPECIFICATION[state].get(move, set())
    try:
        step = specifications.check_move(move, state, actor, frozenset({AUTHOR}), REVIEWER)
    except StepRefused:
        assert not allowed
    else:
        assert allowed and step.goal in specifications.STATES


@pytest.mark.parametrize("move", [move for move in specifications.MOVES if move != "submit"])
def test_whoever_wrote_a_part_decides_nothing_even_as_its_reviewer(move) -> None:
    state = "submitted" if move == "take" else "review"
    with pytest.raises(StepRefused) as refused:
        specifications.check_move(move, state, Actor("b", "staff"), frozenset({"a", "b"}), "b")
    assert refused.value.reason == "same_person"
    with pytest.raises(StepRefused) as refused:
        specifications.check_move(move, state, Actor("m", "service"), frozenset({"a"}), "m")
    assert refused.value.reason == "not_a_person"


FINDING = {
    "open": {"fix": {AUTHOR, OTHER}},
    "fix_submitted": {"verify": {OTHER}, "reopen": {OTHER}},
    "verified": {},
}


@pytest.mark.parametrize(
    ("state", "move", "who"), list(product(findings.STATES, findings.MOVES, (AUTHOR, OTHER)))
)
def test_a_finding_moves_exactly_as_its_table_says(state: str, move, who: str) -> None:
    allowed = who in FINDING[state].get(move, set())
    try:
        findings.check_move(move, state, Actor(who, "staff"), AUTHOR)
    except StepRefused:
        assert not allowed
    else:
        assert allowed


REQUEST = {
    "received": {"hand", "answer"},
    "handed": {"hand", "answer"},
    "answered": {"rate"},
    "closed": set(),
}


@pytest.mark.parametrize(("state", "move"), list(product(requests.STATES, requests.MOVES)))
def test_a_request_moves_exactly_as_its_table_says(state: str, move) -> None:
    try:
        step_of(requests.TABLE, move, state)
    except StepRefused as refused:
        assert move not in REQUEST[state] and refused.reason == "wrong_state"
    else:
        assert move in REQUEST[state]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/numbers.db"


async def test_numbers_have_no_gap_and_no_twin_however_many_write_at_once(url: str) -> None:
    processes = [Database(url), Database(url)]
    async with processes[0].engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=[NumberSeries.__table__])
    taken: list[str] = []

    async def write(number: int) -> None:
        try:
            async with processes[number % 2].write() as session:
                given = await next_number(session, "ТД", 2026)
                if number % 5 == 0:
                    raise ZeroDivisionError  # this one's record could not be stored after all
                taken.append(str(given))
        except ZeroDivisionError:
            pass

    await asyncio.gather(*(write(number) for number in range(40)))
    assert sorted(taken) == [f"ТД-2026-{number:04d}" for number in range(1, 33)]
    async with processes[0].write() as session:
        assert str(await next_number(session, "ТД", 2027)) == "ТД-2027-0001"
    for database in processes:
        await database.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_begins_with_requirements_that_say_something(kind: str) -> None:
    rows = template(kind)
    assert len(rows) >= 4 and all(row["heading"] and row["text"] for row in rows)
    template(kind)[0]["text"] = "changed"
    assert template(kind)[0]["text"] != "changed"


@pytest.mark.parametrize(
    ("analogue", "hours", "waiver", "found"),
    [
        (False, 720, None, ()),
        (False, 719, None, (SHORT_RETENTION,)),
        (False, 719, "зөвшөөрсөн: дотор талын камер", ()),
        (False, 719, "   ", (SHORT_RETENTION,)),
        (False, None, None, ()),
        (True, 720, None, (ANALOGUE,)),
        (True, 24, None, (ANALOGUE, SHORT_RETENTION)),
    ],
)
def test_a_camera_breaks_the_standard_when_analogue_or_short(analogue, hours, waiver, found) -> None:
    assert breaches(analogue, hours, waiver) == found


# --- costs ----------------------------------------------------------------------------------


def test_a_month_covered_in_part_counts_by_its_days() -> None:
    november = Month(2026, 11)
    assert amount_in(300_000, date(2026, 11, 16), None, november) == 150_000
    assert amount_in(300_000, date(2026, 1, 1), date(2026, 11, 1), november) == 10_000
    assert amount_in(300_000, date(2026, 12, 1), None, november) == 0
    assert amount_in(300_000, date(2020, 1, 1), date(2026, 10, 31), november) == 0


@given(st.integers(0, 10**12), st.dates(date(2024, 1, 1), date(2026, 12, 31)), st.integers(0, 800))
def test_a_contract_cut_in_two_costs_what_it_cost_whole(amount: int, begin: date, days: int) -> None:
    end = date.fromordinal(begin.toordinal() + days)
    middle = date.fromordinal(begin.toordinal() + days // 2)
    after = date.fromordinal(middle.toordinal() + 1)
    every = months(Month(2024, 1), Month(2029, 12))
    whole = sum(amount_in(amount, begin, end, month) for month in every)
    halves = sum(
        amount_in(amount, begin, middle, month) + amount_in(amount, after, end, month)
        for month in every
    )
    assert abs(whole - halves) <= 1
    assert all(0 <= amount_in(amount, begin, end, month) <= amount for month in every)


def test_a_report_sums_by_organisation_and_no_cell_is_a_formula() -> None:
    def cost(link: str, mnt: int) -> LinkCost:
        return LinkCost(link=link, organisation_id="o", monthly_mnt=mnt, from_on=date(2026, 1, 1))

    rows = summed(
        [(cost("a", 100), "=cmd"), (cost("b", 50), "=cmd")],
        months(Month(2026, 1), Month(2026, 12)),
        by_year=True,
    )
    assert [(row.period, row.links, row.amount_mnt) for row in rows] == [("2026", 2, 1800)]
    assert as_csv(rows).splitlines()[1] == "o,'=cmd,2026,2,1800"
    for wrong in ("2026-13", "26-01", "2026-1", "2026-01-01"):
        with pytest.raises(ValueError, match="expected a month"):
            month_of(wrong)


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        ("Төлөвлөгөө\n".encode(), "text/plain; charset=utf-8"),
    ],
)
def test_a_file_is_what_its_content_is(content: bytes, expected: str) -> None:
    assert media_type_of(content) == expected


@pytest.mark.parametrize(
    "content",
    [b"MZ\x90\x00\x03", b"<html><script>", b"  <svg onload=x>", b"PK\x03\x04nonsense", b"a\x00b", b""],
)
def test_programs_pages_and_broken_archives_are_no_attachments(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        FileStore(tmp_path).put(content)
    assert not any(tmp_path.rglob("*"))


def test_a_stored_file_comes_back_and_an_altered_one_is_noticed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    stored = store.put(b"%PDF-1.7 one")
    assert store.put(b"%PDF-1.7 one") == stored
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [stored.sha256]
    assert store.get(stored.sha256) == b"%PDF-1.7 one"
    (tmp_path / stored.sha256[:2] / stored.sha256).write_bytes(b"%PDF-1.7 two")
    with pytest.raises(FileMissing, match="altered"):
        store.get(stored.sha256)
    for wrong in ("../../etc/passwd", "0" * 64):
        with pytest.raises(FileMissing):
            store.get(wrong)
