"""``utaa registry …`` from a console: which city it takes into, and tokens from first to last."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.registry_commands import app

Call = Callable[..., Any]
HOME = '[[site]]\nid = "home"\ntitle = "Home"\n'


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home.toml").write_text(HOME)
    (tmp_path / "utaa.toml").write_text(f'[registry]\ndata_dir = "{tmp_path}/city"\n')
    return lambda *words: CliRunner().invoke(app, words)


def test_a_city_is_begun_only_when_asked_for(registry: Call, tmp_path: Path) -> None:
    words = ("import", "home.toml", "--config", "utaa.toml")
    refused = registry(*words)
    assert refused.exit_code == 1
    assert "--create" in refused.stderr
    assert str(tmp_path / "city" / "city.sqlite") in refused.stderr
    assert not (tmp_path / "city").exists()
    begun = registry(*words, "--create")
    assert begun.exit_code == 0, begun.stderr
    assert f"taken into sqlite:///{tmp_path}/city/city.sqlite" in begun.stdout
    again = registry(*words)
    assert "1 as they were" in again.stdout


def test_looking_at_a_wrong_place_makes_nothing(registry: Call, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert registry("list", "sites").exit_code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_token_is_shown_once_with_its_end_and_can_be_revoked(registry: Call) -> None:
    config = ("--config", "utaa.toml")
    assert registry("import", "home.toml", *config, "--create").exit_code == 0
    made = registry("token", "new", "prometheus", "--role", "auditor", "--json", *config)
    told = json.loads(made.stdout)
    (listed,) = json.loads(registry("list", "tokens", "--json", *config).stdout)
    assert (listed["id"], listed["expires_at"]) == (told["id"], told["expires_at"])
    assert not listed["revoked"]
    assert registry("token", "revoke", told["id"], *config).exit_code == 0
    assert json.loads(registry("list", "tokens", "--json", *config).stdout)[0]["revoked"]
    unknown = registry("token", "revoke", "nope", *config)
    assert unknown.exit_code == 1
    assert "there is no token 'nope'" in unknown.stderr


def test_for_a_person_the_token_is_alone_on_stdout_and_the_rest_beside_it(registry: Call) -> None:
    config = ("--config", "utaa.toml")
    assert registry("import", "home.toml", *config, "--create").exit_code == 0
    made = registry("token", "new", "prometheus", "--role", "auditor", *config)
    assert len(made.stdout.split()) == 1
    assert "token revoke" in made.stderr


def test_the_help_names_the_roles(registry: Call) -> None:
    said = " ".join(registry("token", "new", "--help").stdout.split())
    assert all(role in said for role in ("administrator", "registrar", "technician", "duty", "auditor"))
