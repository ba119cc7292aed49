"""The commands: a story without names and addresses, dead letters, the dry run; settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alerts.channels.base import Outcome
from alerts.channels.opening import open_channels, read_secret
from alerts.cli import app
from alerts.settings import SettingsError, load_settings
from registry.db import Database
from tests.alerts.city import MAILS, ScriptedChannel, Town, open_town

Work = Callable[[Town], Coroutine[Any, Any, Any]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which one person was reached and the other not; the incident's id."""
    url = f"sqlite:///{tmp_path / 'city.sqlite'}"
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", url)

    async def prepare() -> str:
        database = Database(url)
        town = await open_town(database)
        applied = await town.alarm()
        refusal = Outcome("refused", "address_unknown", "550 5.1.1 no such user")
        await town.worker(ScriptedChannel(refusal)).run_until_idle()
        await database.close()
        return applied.incident_id or ""

    return asyncio.run(prepare())


def call(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def test_explain_tells_who_when_by_what_and_with_which_proof(told: str) -> None:
    output = call("explain", told[:12])
    expected = (
        "2026-01-31 03:12", "opened", "planned", "contact 1", "contact 2", "channel=email",
        "accepted", "evidence=250 ok", "refused", "address_unknown", "not_reached",
    )  # fmt: skip
    for words in expected:
        assert words in output, words
    assert "@" not in output
    times = [json.loads(line)["at"] for line in call("explain", told, "--json").splitlines()]
    assert times == sorted(times)


def test_an_incident_that_does_not_exist_is_one_line_and_a_code(told: str) -> None:
    output = call("explain", "nothing", code=1)
    assert output.startswith("utaa: no incident has")
    assert output.count("\n") == 1


def test_dead_lists_what_reached_nobody(told: str) -> None:
    output = call("dead")
    assert told in output
    assert "address_unknown" in output
    assert MAILS[0] not in output
    assert [json.loads(line)["state"] for line in call("dead", "--json").splitlines()] == ["refused"]


def test_without_a_database_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert call("dead", code=1).startswith("utaa: no database at")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_dry_run_needs_no_database(tmp_path: Path) -> None:
    assert "at_once" in call("dry-run", "fire")
    assert "daytime" in call("dry-run", "trouble") or "collected" in call("dry-run", "trouble")
    assert "expected one of" in call("dry-run", "flood", code=2)
    wrong = tmp_path / "policy.toml"
    wrong.write_text("[fire]\ncolour = 1\n")
    assert "policy.toml" in call("dry-run", "fire", "--policy", str(wrong), code=2)


# ---- settings -----------------------------------------------------------------------------------


def config(folder: Path, text: str) -> Path:
    path = folder / "utaa.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_come_from_the_file_and_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, '[gateway]\nport = 1\n[alerts.smtp]\nhost = "mail.example.mn"\nport = 25\n')
    monkeypatch.setenv("UTAA_ALERTS_SMTP__PORT", "465")
    settings = load_settings(path)
    assert settings.smtp is not None
    assert (settings.smtp.host, settings.smtp.port) == ("mail.example.mn", 465)
    assert settings.webpush is None
    assert load_settings().worker.poll_s == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[alerts]\ncolour = "red"', "colour"),
        ("[alerts.smtp]\nport = 99999", "smtp.port"),
        ('[alerts.smtp]\nsecurity = "perhaps"', "smtp.security"),
        ('[alerts.smtp]\nfrom_address = "nobody"', "utaa@example.mn"),
        ("[alerts]\nsmtp = 5", "smtp"),
        ("alerts = 5", "expected [alerts]"),
        ("[alerts", "utaa.toml"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_environment_variable_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTAA_ALERTS_SMTP", "no json")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


async def test_only_channels_that_are_set_up_are_opened(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    path = config(tmp_path, f'[alerts.smtp]\npassword_file = "{secret}"\n[alerts.webpush]\n')
    channels = open_channels(load_settings(path), data_dir=tmp_path)
    assert sorted(channels) == ["email", "webpush"]
    assert (tmp_path / "vapid.pem").exists()
    for channel in channels.values():
        await channel.close()
    assert open_channels(load_settings()) == {}


def test_a_secret_that_cannot_be_read_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing-here"):
        read_secret(tmp_path / "nothing-here")


def test_explain_says_what_comes_next_and_what_waits(told: str) -> None:
    lines = [json.loads(line) for line in call("explain", told, "--json").splitlines()]
    following = [line for line in lines if line["what"] == "next_rung"]
    assert [line["detail"] for line in following] == [{"after_rung": 0, "unless": "acknowledged"}]


def test_reach_lists_households_with_the_reason_and_no_name(told: str) -> None:
    output = call("reach", "1116")
    assert "SK24-0012" in output
    assert "@" not in output
    assert json.loads(call("reach", "--json"))["standing"] in ("doubtful", "unreachable")
    assert call("reach", "99") == ""


def test_a_bounce_is_taken_in_from_standard_input(told: str) -> None:
    result = CliRunner().invoke(app, ["bounce"], input="Subject: no report\n\nhello\n")
    assert result.exit_code == 0
    assert "nothing changed" in result.output
