"""The embedded broker: MQTT for one box that has no Mosquitto, as a process of its own.

``python -m utaa.broker --port 1883`` listens until SIGINT or SIGTERM. It speaks MQTT 3.1.1 with
QoS 1, retained messages, last wills and wildcards; it knows no ``$share`` and forgets everything when
it ends. Fit for a demo and a small site: the end-to-end acknowledgement makes good what it loses.

Nobody logs in: it listens on this machine only, unless told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from amqtt.broker import Broker
from amqtt.errors import BrokerError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

#: A subscriber that stays away longer than this loses what the broker kept for it.
SESSION_EXPIRY_S = 3600


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc]  # the library has no types
    """Lets everybody in without calling them anonymous.

    The library keeps no queue for a session it calls anonymous, and drops its subscriptions within a
    second of a disconnect; an edge that reconnects would miss its acknowledgements.
    """

    async def authenticate(self, *, session: Session) -> bool:
        return True


def configuration(host: str, port: int) -> dict[str, object]:
    """The library's settings for one plain listener."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": -1}},
        "session_expiry_interval": SESSION_EXPIRY_S,
        "plugins": {f"utaa.broker.{OpenDoor.__name__}": {}},
    }


async def serve(host: str, port: int) -> None:
    """Listen until SIGINT or SIGTERM. Raises ``OSError`` if the address cannot be had."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(configuration(host, port))
    try:
        await broker.start()
    except BrokerError as error:
        raise OSError(str(error)) from error
    await stop.wait()
    await broker.shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="utaa.broker", description="Embedded MQTT broker.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # The library logs a traceback of its own for a taken port; ours is one line.
    logging.getLogger("amqtt.broker").setLevel(logging.CRITICAL)
    try:
        asyncio.run(serve(options.host, options.port))
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"utaa: broker {address}: {error}; choose another port", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
