"""Where a device may be: not on the machine itself, not where a cloud keeps its keys."""

from __future__ import annotations

import pytest

from edge.wire.addresses import may_be_a_device, networks

HERE = networks(["127.0.0.0/8", "169.254.7.0/24"])


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("10.16.4.21", True), ("192.168.1.9", True), ("fd00::7", True), ("8.8.8.8", True),
        ("cam.example.org", True), ("kamera-7", True), ("100.64.3.4", True),
        ("127.0.0.1", False), ("127.8.9.1", False), ("::1", False), ("[::1]", False),
        ("::ffff:127.0.0.1", False), ("2002:7f00:1::", False), ("0.0.0.0", False), ("::", False),
        ("169.254.169.254", False), ("::ffff:a9fe:a9fe", False), ("fe80::1%eth0", False),
        ("fd00:ec2::254", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("localhost", False), ("LOCALHOST.", False), ("a.localhost", False), ("ip6-localhost", False),
        ("127.1", False), ("2130706433", False), ("0x7f.0x1", False),
    ],
)  # fmt: skip
def test_where_a_device_may_be(host: str, may: bool) -> None:
    assert may_be_a_device(host) is may


def test_a_named_network_may_hold_devices_and_only_that_one() -> None:
    assert may_be_a_device("127.0.0.1", HERE)
    assert may_be_a_device("169.254.7.9", HERE)
    assert not may_be_a_device("169.254.169.254", HERE)


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0\.1/8' is no network"):
        networks(["10.0.0.1/8"])
