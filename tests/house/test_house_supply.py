"""What Utaa is made of, and the comparison with known vulnerabilities."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from utaa.supply import Package, app, bill, findings, front_end, installed

RUN = CliRunner()


def _entry(name: str, events: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    package = {"ecosystem": "PyPI", "name": name}
    affected = {"package": package, "ranges": ranges, "versions": more.pop("versions", [])}
    return {"id": "OSV-1", "summary": "it breaks", "affected": [affected], **more}


def test_the_bill_names_every_package_with_its_version_and_the_locks_hashes() -> None:
    packages = installed()
    assert {"fastapi", "paho-mqtt", "aiomqtt", "influxdb-client"} <= {each.name for each in packages}
    assert all(each.hashes for each in packages), [each.name for each in packages if not each.hashes]
    assert {"leaflet", "htmx.org"} <= {each.name for each in front_end()}
    assert "axe-core" not in {each.name for each in front_end()}  # the tests' own


def test_the_bill_is_valid_cyclonedx() -> None:
    text = bill(installed())
    content = json.loads(text)
    assert content["specVersion"] == "1.6"
    try:
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        assert validator.validate_str(text) is None
    except ImportError as error:
        pytest.skip(f"the schema's own validator is not installed: {error}")


@pytest.mark.parametrize(
    ("events", "version", "hit"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], "1.9", True),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0", False),
        ([{"introduced": "1.5"}, {"fixed": "2.0"}], "1.4", False),
        ([{"introduced": "1.5"}, {"last_affected": "1.9"}], "1.9", True),
        ([{"introduced": "1.5"}, {"last_affected": "1.9"}], "1.9.1", False),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}], "2.1", True),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}], "1.1", False),
    ],
)
def test_a_range_is_read_as_the_schema_says(
    events: list[dict[str, str]], version: str, hit: bool
) -> None:
    found = findings([Package("PyPI", "some-thing", version)], [_entry("Some_Thing", events)])
    assert bool(found) is hit


def test_a_named_version_hits_and_a_withdrawn_entry_does_not() -> None:
    package = [Package("PyPI", "x", "1.0")]
    assert findings(package, [_entry("x", [], versions=["1.0"])])
    assert not findings(package, [_entry("x", [], versions=["1.0"], withdrawn="2024-01-01T00:00:00Z")])
    assert not findings([Package("npm", "x", "1.0")], [_entry("x", [], versions=["1.0"])])


def test_the_check_finds_an_entry_in_a_folder_and_in_a_zip(tmp_path: Path) -> None:
    entry = json.dumps(_entry("fastapi", [{"introduced": "0"}]))
    (tmp_path / "db").mkdir()
    (tmp_path / "db/a.json").write_text(entry)
    with zipfile.ZipFile(tmp_path / "db.zip", "w") as packed:
        packed.writestr("a.json", entry)
    for where in ("db", "db.zip"):
        result = RUN.invoke(app, ["check", "--database", str(tmp_path / where)])
        assert result.exit_code == 1
        assert "fastapi" in result.output
        assert "OSV-1" in result.output


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.json").write_text("[]")
    for name, said in (("empty", "no entry"), ("text", "folder or zip"), ("bad", "no id")):
        result = RUN.invoke(app, ["check", "--database", str(tmp_path / name)])
        assert result.exit_code == 2
        assert said in result.output
