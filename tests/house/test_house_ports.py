"""Ports and folders that somebody else has are one line that names the way out."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from utaa.hold import Hold, is_held
from utaa.ports import LOCALHOST, ServerError, claim, free_port, lan_address, reach

EVERY_ADDRESS = "0.0.0.0"


def test_a_taken_port_is_named_with_its_purpose_and_its_option() -> None:
    with socket.socket() as other:
        other.bind((LOCALHOST, 0))
        other.listen()
        port = other.getsockname()[1]
        for listen in (LOCALHOST, EVERY_ADDRESS):
            with pytest.raises(ServerError, match=rf"port {port} for the broker .* --broker-port$"):
                claim("the broker", listen, port, "--broker-port", listen_option="--listen")


def test_an_address_that_is_not_ours_is_named_with_its_option() -> None:
    with pytest.raises(ServerError, match=r"192\.0\.2\.77:.* correct --listen$"):
        claim("the broker", "192.0.2.77", free_port(), "--broker-port", listen_option="--listen")


def test_who_listens_everywhere_is_reached_here_by_localhost_and_never_at_the_wildcard() -> None:
    assert reach(EVERY_ADDRESS) == LOCALHOST
    assert reach("192.0.2.7") == "192.0.2.7"
    assert lan_address("192.0.2.7") == "192.0.2.7"
    assert lan_address(EVERY_ADDRESS) not in {EVERY_ADDRESS, ""}


def test_a_folder_is_held_by_one_and_the_second_is_told_by_whom(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert is_held(folder) is None
    with Hold(folder, "--data"):
        assert is_held(folder)
        with pytest.raises(ServerError, match=rf"in use by pid {os.getpid()}: .*--data"):
            Hold(folder, "--data").__enter__()
    assert is_held(folder) is False
    with Hold(folder, "--data"):
        pass
