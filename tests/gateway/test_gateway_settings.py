"""Settings: command line over environment over file; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import SettingsError, load_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "utaa.toml"


def test_the_command_line_wins_over_the_environment_which_wins_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[gateway]\nport = 1\nhost = "0.0.0.0"\nretention_days = 9\n[edge]\nsite = "x"\n')
    monkeypatch.setenv("UTAA_GATEWAY_PORT", "2")
    monkeypatch.setenv("UTAA_GATEWAY_HOST", "::1")
    settings = load_settings(config, port=3, host=None)
    assert (settings.port, settings.host, settings.retention_days) == (3, "::1", 9)


def test_the_file_is_found_by_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("[gateway]\nport = 17\n")
    monkeypatch.setenv("UTAA_CONFIG", str(config))
    assert load_settings().port == 17


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gateway]\nprot = 1\n", ["'prot'", "[gateway]", "'port'"]),
        ("[gatway]\nport = 1\n", ["'gatway'", "expected tables"]),
        ('[gateway]\nport = "many"\n', ["port", "integer", "[gateway]"]),
        ("[gateway]\nport = 99999\n", ["port", "65535"]),
        ("[gateway\n", ["expected a TOML file"]),
        ('[gateway]\nstore = "papyrus"\n', ["store", "sqlite"]),
    ],
)
def test_a_wrong_file_says_where_and_what_was_expected(
    config: Path, text: str, words: list[str]
) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    for word in [str(config), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTAA_GATEWAY_INFLUX_TOKEN", "very-secret")
    assert "very-secret" not in repr(load_settings())


def test_an_influxdb_that_is_named_is_used() -> None:
    assert load_settings().effective_store == "sqlite"
    assert load_settings(influx_url="http://h:8086").effective_store == "influx"
    assert load_settings(influx_url="http://h:8086", store="sqlite").effective_store == "sqlite"
