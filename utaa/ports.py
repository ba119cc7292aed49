"""Ports and addresses of this machine: what is free, what is taken and by which option it moves."""

from __future__ import annotations

import asyncio
import errno
import random
import socket

LOCALHOST = "127.0.0.1"
#: What a server is told in order to listen on every address.
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - asked for by name only
#: Outgoing connections take their ports from 32768 on; below it only another server can be first.
_PORTS = range(20_000, 32_000)
MAX_PORT = 65535
#: Never answered (RFC 5737); asking for the way there tells which address of ours others see.
_ELSEWHERE = ("192.0.2.1", 9)


class ServerError(RuntimeError):
    """A server is missing or did not start; the text says which, where, and what to do."""


def free_port() -> int:
    """A port nobody listens on, from a range that outgoing connections never use.

    Another process may still take it first: whoever starts a server on it tries again with another.
    """
    for port in random.SystemRandom().sample(_PORTS, 200):
        if _refusal(LOCALHOST, port) is None:
            return port
    raise ServerError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}: stop some servers")


async def answers(port: int, host: str = LOCALHOST) -> bool:
    """Whether somebody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def reach(listen: str) -> str:
    """Where this machine itself reaches a server that listens on ``listen``."""
    return LOCALHOST if listen in EVERYWHERE else listen


def lan_address(listen: str) -> str:
    """Where other devices reach a server that listens on ``listen``; our own address if there is
    no network."""
    if listen not in EVERYWHERE:
        return listen
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)  # sends nothing
        except OSError:
            return LOCALHOST
        return str(probe.getsockname()[0])


def claim(what: str, listen: str, port: int, option: str, *, listen_option: str) -> None:
    """Raise ``ServerError`` with one line if ``what`` could not listen there; port 0 is any."""
    if not 0 <= port <= MAX_PORT:
        raise ServerError(f"{option} {port}: expected 1 to {MAX_PORT}")
    refusal = _refusal(listen, port)
    if refusal is None:
        return
    if refusal.errno == errno.EADDRINUSE:
        raise ServerError(
            f"port {port} for {what} is taken, another program listens on it:"
            f" stop that, or choose another port with {option}"
        )
    if refusal.errno == errno.EACCES:
        raise ServerError(
            f"port {port} for {what} needs an administrator: choose one above 1023 with {option}"
        )
    raise ServerError(
        f"{listen}:{port} for {what}: {refusal.strerror or refusal}: correct {listen_option}"
    )


def _refusal(host: str, port: int) -> OSError | None:
    """Why nobody could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None
