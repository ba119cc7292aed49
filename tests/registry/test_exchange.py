"""A register from a file: every mistake at its place, all or nothing, and again changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from typer.testing import CliRunner

from edge.wire.identity import detector_id
from registry import audit
from registry.cli import build_app
from registry.db import Base, Database
from registry.exchange import ImportResult, import_register
from registry.households import household_of, open_household
from registry.models import AuditEntry, Contact, Detector, DetectorModel, Household, Site
from registry.register_file import RegisterRefused, read_register
from registry.register_rows import Checker
from registry.sealed import Keyring
from registry.shipped import shipped_models
from registry.sites import site_config

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example-register.toml"
GOOD = """\
[[site]]
id = "s1"
title = "Нэг"

[[household]]
label = "H1"
site = "s1"
address = "Жишээ 1"

  [[household.contact]]
  name = "Жишээ Дорж"
  email = "dorj@example.org"

  [[household.detector]]
  source = "native"
  address = "d1"
  model = "native-generic"
"""


@pytest.fixture
def take(database: Database, keyring: Keyring, tmp_path: Path):
    async def take(text: str | Path, name: str = "register.toml", **options: bool) -> ImportResult:
        path = text if isinstance(text, Path) else tmp_path / name
        if isinstance(text, str):
            path.write_text(text, encoding="utf-8")
        return await import_register(database, keyring, path, now_us=5, **options)

    return take


async def _size(database: Database) -> list[int]:
    async with database.read() as session:
        tables = (Site, Household, Contact, Detector, DetectorModel, AuditEntry)
        return [await session.scalar(select(func.count()).select_from(table)) for table in tables]


async def test_the_example_is_taken_and_again_changes_nothing(take, database, keyring) -> None:
    first = await take(EXAMPLE)
    assert (first.sites.created, first.models.created) == (2, 1)
    assert (first.households.created, first.detectors.created) == (3, 5)
    async with database.read() as session:
        versions = (await session.scalars(select(Site.config_version))).all()
    size = await _size(database)
    second = await take(EXAMPLE)
    assert second.changes == 0
    assert (second.sites.unchanged, second.households.unchanged) == (2, 3)
    assert second.detectors.unchanged == 5
    assert await _size(database) == size
    async with database.read() as session:
        assert (await session.scalars(select(Site.config_version))).all() == versions
        assert (await audit.verify(session)).entries == 1


async def test_what_was_taken_is_there_whole(take, database, keyring) -> None:
    await take(GOOD)
    own_id = detector_id("s1", "native", "d1")
    async with database.read() as session:
        home = await household_of(session, own_id)
        assert home is not None and home.label == "H1"
        opened = await open_household(session, keyring, home)
        assert opened.address == "Жишээ 1"
        assert [(c.name, c.channels[0].address) for c in opened.contacts] == [
            ("Жишээ Дорж", "dorj@example.org")
        ]
        config = await site_config(session, "s1")
        (told,) = config.detectors
        assert (told.detector, told.deadline_s, told.registered_us) == (own_id, 300, 5)


async def test_a_dry_run_counts_and_takes_nothing(take, database) -> None:
    before = await _size(database)
    result = await take(GOOD, dry_run=True)
    assert (result.dry_run, result.changes) == (True, 3)
    assert await _size(database) == before


async def test_what_a_file_does_not_say_stays(take, database, keyring) -> None:
    await take(GOOD)
    result = await take('[[household]]\nlabel = "H1"\nsite = "s1"\nlanguage = "en"\n')
    assert (result.households.changed, result.detectors.unchanged) == (1, 0)
    async with database.read() as session:
        home = await session.scalar(select(Household))
        assert home is not None and home.language == "en"
        opened = await open_household(session, keyring, home)
        assert opened.address == "Жишээ 1" and len(opened.contacts) == 1


async def test_a_changed_model_and_a_new_detector_are_told_to_their_sites(take, database) -> None:
    await take(GOOD)
    async with database.read() as session:
        before = (await site_config(session, "s1")).version
    await take('[[model]]\nid = "native-generic"\nname = "Native"\ndeadline_s = 60\n')
    async with database.read() as session:
        config = await site_config(session, "s1")
        assert config.version == before + 1 and config.detectors[0].deadline_s == 60
    await take('[[detector]]\nsite = "s1"\nsource = "native"\naddress = "d2"\n')
    async with database.read() as session:
        assert (await site_config(session, "s1")).version == before + 2


async def test_a_heard_detector_comes_into_service_and_a_retired_one_stays_so(take, database) -> None:
    await take('[[site]]\nid = "s1"\n')
    async with database.write() as session:
        for address, status in (("d1", "unregistered"), ("d2", "retired")):
            session.add(
                Detector(
                    id=detector_id("s1", "native", address), site_id="s1", source="native",
                    address=address, status=status, place="", alarm_settings={},
                )
            )  # fmt: skip
    rows = '[[detector]]\nsite = "s1"\nsource = "native"\naddress = "{}"\n'
    result = await take(rows.format("d1") + rows.format("d2"))
    assert (result.detectors.changed, result.detectors.unchanged) == (1, 1)
    async with database.read() as session:
        found = await session.execute(select(Detector.address, Detector.status))
        assert dict(map(tuple, found)) == {"d1": "in_service", "d2": "retired"}


MISTAKES = [
    ("[[site]]\nid = 'S1'\n", 2, "id", "no site name"),
    ("[[site]]\ntitle = 'a'\n", 1, "id", "expected this column"),
    ("[[site]]\nid = 's1'\nlat = 91\n", 3, "lat", "-90 to 90"),
    ("[[site]]\nid = 's1'\nlat = nan\n", 3, "lat", "-90 to 90"),
    ("[[site]]\nid = 's1'\nlat = true\n", 3, "lat", "-90 to 90"),
    ("[[site]]\nid = 's1'\ncolour = 'red'\n", 3, "colour", "expected one of id, title"),
    ("[[site]]\nid = 's1'\n\n[[site]]\nid = 's1'\n", 5, "id", "line 1 has it too"),
    ("[[site]]\nid = 's1'\nunit = 'Баянгол'\n", 3, "unit", "digits such as 111664"),
    ("[[site]]\nid = 's1'\ntitle = \"a\\u0000b\"\n", 3, "title", "control characters"),
    ("[[sites]]\nid = 's1'\n", 1, "sites", "[[site]]"),
    ("site = 's1'\n", 1, "site", "[[site]]"),
    ("[[model]]\nid = 'm'\nname = 'M'\nsenses = ['smell']\n", 4, "senses", "a list of smoke"),
    ("[[model]]\nid = 'm'\nname = 'M'\ndeadline_s = 'soon'\n", 4, "deadline_s", "seconds"),
    ("[[household]]\nlabel = 'H'\nsite = 'nowhere'\n", 3, "site", "a site of this file"),
    ("[[household]]\nlabel = 'H'\nsite = 's0'\nlanguage = 'fr'\n", 4, "language", "mn or en"),
    (
        "[[household]]\nlabel = 'H'\nsite = 's0'\n[[household.contact]]\nname = 'A'\nemail = 'no'\n",
        6, "email", "kontakt@example.org",
    ),
    (
        "[[household]]\nlabel = 'H'\nsite = 's0'\n[[household.contact]]\nemail = 'a@example.org'\n",
        4, "name", "expected this column",
    ),
    ("[[household]]\nlabel = 'H'\nsite = 's0'\ncontact = 5\n", 4, "contact", "[[household.contact]]"),
    ("[[detector]]\nsite = 's0'\nsource = 'native'\n", 1, "address", "expected this column"),
    (
        "[[detector]]\nsite = 's0'\nsource = 'n'\naddress = 'a'\nmodel = 'unheard'\n",
        5, "model", "a model of this file",
    ),
    (
        "[[detector]]\nsite = 's0'\nsource = 'n'\naddress = 'a'\nhousehold = 'H9'\n",
        5, "household", "a household of this file",
    ),
    (
        "[[site]]\nid = 's2'\n[[household]]\nlabel = 'H'\nsite = 's0'\n"
        "[[detector]]\nsite = 's2'\nsource = 'n'\naddress = 'a'\nhousehold = 'H'\n",
        10, "household", "a household of 's2'",
    ),
    ("[[site]]\nid = 's1\n", 2, "", "expected TOML"),
    (
        "[[site]]\nid = 's1'\ntitle = '''\n[[site]]\nid = 'fake'\n'''\nlat = 'x'\n",
        7, "lat", "-90 to 90",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "expected"), MISTAKES)
async def test_a_mistake_is_named_by_its_place(
    take, database, text: str, line: int, column: str, expected: str
) -> None:
    await take('[[site]]\nid = "s0"\n', "first.toml")
    before = await _size(database)
    with pytest.raises(RegisterRefused) as refused:
        await take(text)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.column) == ("register.toml", line, column)
    assert expected in problem.expected
    assert await _size(database) == before


async def test_all_mistakes_come_at_once_in_the_order_of_the_file(take) -> None:
    text = "".join(text for text, *_ in MISTAKES[2:4]).replace("s1", "a", 1).replace("s1", "b", 1)
    with pytest.raises(RegisterRefused) as refused:
        await take(GOOD + text + "[[detector]]\nsite = 'zz'\n")
    problems = refused.value.problems
    assert len(problems) == 5
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


CSV = """\
site;site_title;household;unit;address;lat;contact;email;source;detector;model;place
s1;Нэг;H1;111664;Жишээ 1;47,91;Жишээ Дорж;dorj@example.org;native;d1;native-generic;зуух
s1;;H1;;;;Example Two;two@example.org;native;d2;;
s1;;;;;;;;native;hall;;коридор

s2;;H2;;;;;;;;;
"""


async def test_a_flat_file_gives_sites_homes_contacts_and_detectors(take, database, keyring) -> None:
    result = await take("\ufeff" + CSV, "register.csv")
    assert (result.sites.created, result.households.created, result.detectors.created) == (2, 2, 3)
    assert (await take(CSV, "register.csv")).changes == 0
    async with database.read() as session:
        home = await session.scalar(select(Household).where(Household.label == "H1"))
        assert home is not None and (home.unit_code, home.lat) == ("111664", 47.91)
        opened = await open_household(session, keyring, home)
        assert [contact.name for contact in opened.contacts] == ["Жишээ Дорж", "Example Two"]
        hall = await session.get(Detector, detector_id("s1", "native", "hall"))
        assert hall is not None and hall.household_id is None


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("household\nH1\n", 1, "site", "expected this column"),
        ("site,colour\ns1,red\n", 1, "colour", "expected one of site"),
        ("site,site\ns1,s1\n", 1, "site", "each column once"),
        ("site,household\n,H1\n", 2, "site", "the name of the line's site"),
        ("site,lat\ns1,1,2\n", 2, "", "expected 2 cells, found 3"),
        ("site,household,unit\ns1,H1,11\ns1,H1,12\n", 3, "unit", "what line 2 says"),
        ("site,contact\ns1,Somebody\n", 2, "household", "whose contact"),
        ("site,household,email\ns1,H1,a@example.org\n", 2, "name", "expected this column"),
        ("site,source\ns1,native\n", 2, "address", "expected this column"),
        ('site,household\ns1,"H1\n', 2, "", "expected CSV"),
        ("", 1, "site", "expected this column"),
    ],
)
async def test_a_mistake_in_a_flat_file_is_named_too(
    take, text: str, line: int, column: str, expected: str
) -> None:
    with pytest.raises(RegisterRefused) as refused:
        await take(text, "register.csv")
    first = refused.value.problems[0]
    assert (first.line, first.column) == (line, column)
    assert expected in first.expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("register.xls", b"", "ends in .toml or .csv"),
        ("register.toml", b"\xff\xfe", "expected UTF-8"),
        ("absent.toml", None, "cannot read it"),
    ],
)
async def test_a_file_that_is_none_is_refused(take, tmp_path, name, content, expected) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RegisterRefused, match=expected):
        await take(tmp_path / name)


_often = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
_words = st.sampled_from(["site", "model", "household", "detector", "contact", "id", "label", "x"])
_values = st.recursive(
    st.text(max_size=8) | st.integers() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=6,
)


@_often
@given(
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["csv", "toml"])
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"any.{kind}"
    path.write_bytes(content)
    checker = Checker(path.name)
    try:
        checker.check(read_register(path))
    except RegisterRefused as refused:
        assert refused.problems


@_often
@given(st.dictionaries(_words, _values, max_size=3), _words)
def test_any_table_is_checked_without_falling_over(tmp_path: Path, table: dict, kind: str) -> None:
    def toml(value) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        if isinstance(value, str):
            return json.dumps(value.encode("utf-8", "replace").decode()).replace("\\u007f", "?")
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)

    lines = "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
    path = tmp_path / "any.toml"
    path.write_text(f"[[{kind}]]\n{lines}", encoding="utf-8")
    checker = Checker(path.name)
    try:
        checked = checker.check(read_register(path))
        assert checker.problems or checked
    except RegisterRefused as refused:
        assert all(problem.file == "any.toml" for problem in refused.problems)


def test_every_shipped_model_has_a_deadline_and_says_where_from() -> None:
    models = shipped_models()
    assert len({model["id"] for model in models}) == len(models) >= 8
    for model in models:
        assert model["deadline_s"] > 0 and model["source_note"] and model["senses"]


# --- the commands -----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UTAA_REGISTRY_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "city.sqlite").touch()  # an empty file is a city whose tables are to come

    async def prepare(database: Database) -> None:
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    def run(*words: str, text: str | None = None):
        return CliRunner().invoke(build_app(prepare), list(words), input=text)

    return run


def test_the_commands_take_list_and_verify(run) -> None:
    taken = run("import", str(EXAMPLE), "--json")
    assert taken.exit_code == 0, taken.output
    assert json.loads(taken.stdout)["households"]["created"] == 3
    assert "3 as they were" in run("import", str(EXAMPLE)).stdout
    listed = json.loads(run("list", "households", "--json").stdout)
    labels = {row["label"] for row in listed}
    assert labels == {"SKhD-32-0001", "SKhD-32-0002", "ChD-18-0001"}
    assert "address" not in listed[0]
    verdict = json.loads(run("verify", "--json").stdout)
    assert verdict["ok"] and verdict["entries"] == 1
    assert run("verify", "--head", "f" * 64).exit_code == 1


def test_a_person_and_a_token_are_made_at_the_console(run) -> None:
    made = run("person", "new", "boss", "--role", "administrator", "--password-stdin",
               text="correct horse battery\n")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert json.loads(run("list", "people", "--json").stdout)[0]["roles"] == ["administrator"]
    token = run("token", "new", "meter", "--role", "duty", "--days", "3").stdout.strip()
    assert token.startswith("utaa_")
    assert token not in run("list", "tokens", "--json").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("import", "absent.toml"), "cannot read it"),
        (("list", "secrets"), "expected one of sites"),
        (("token", "new", "x", "--role", "king"), "expected one of administrator"),
        (("token", "new", "x", "--role", "duty", "--days", "9999"), "1 to 366 days"),
    ],
)
def test_a_failure_is_one_line_and_a_code(run, words: tuple[str, ...], says: str) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert says in result.stderr and "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("utaa: ")


def test_a_key_ring_is_never_overwritten(run, tmp_path: Path) -> None:
    path = tmp_path / "ring"
    assert run("key", "new", "--file", str(path)).exit_code == 0
    before = path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    assert "already" in run("key", "new", "--file", str(path)).stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("UTAA_REGISTRY_DATABASE_URL", "mysql://x", "expected sqlite:///FILE or postgresql"),
        ("UTAA_REGISTRY_DATABASE", "sqlite:///x", "unknown setting UTAA_REGISTRY_DATABASE"),
        ("UTAA_CONFIG", "/nowhere/utaa.toml", "cannot read /nowhere/utaa.toml"),
    ],
)
def test_a_wrong_setting_is_named_with_code_2(run, monkeypatch, setting, value, says) -> None:
    monkeypatch.setenv(setting, value)
    result = run("list", "sites")
    assert result.exit_code == 2
    assert says in result.stderr and result.stderr.count("\n") == 1


def test_an_unreachable_database_is_one_line_without_its_password(run, monkeypatch) -> None:
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x")
    result = run("list", "sites")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr and "secret" not in result.stderr
    assert result.stderr.count("\n") == 1
