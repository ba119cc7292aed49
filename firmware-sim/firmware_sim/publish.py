"""One message by hand, as a device would publish it: to try a site without a device or other tools."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import aiomqtt

from edge.wire.topics import detector_topic
from firmware_sim.errors import BrokerError, SimulatorError
from firmware_sim.link import TIMEOUT_S, Broker, check_reachable

#: Where the devices of a source publish, by the source's name.
_TOPICS: Final = {"zigbee2mqtt": "zigbee2mqtt/{}", "tasmota": "tele/{}/SENSOR"}
NATIVE: Final = "native"


def topic_of(source: str, address: str) -> str:
    """The topic of a device's own. Raises ``SimulatorError``."""
    if not address or set(address) & set("/+#\0"):
        raise SimulatorError(f"--address {address!r}", "expected a name without / + #")
    if source == NATIVE:
        try:
            return detector_topic(address, "reading")
        except ValueError as error:
            raise SimulatorError(f"--address {address!r}", str(error)) from None
    if source not in _TOPICS:
        known = ", ".join((NATIVE, *_TOPICS))
        raise SimulatorError(f"--source {source}", f"expected one of {known}; or give --topic")
    return _TOPICS[source].format(address)


def check_json(payload: str) -> None:
    """Raises ``SimulatorError`` for what a shell made of the quotes."""
    try:
        json.loads(payload)
    except json.JSONDecodeError as error:
        raise SimulatorError(
            f"payload {payload!r}",
            f"is no JSON ({error.msg}, column {error.colno}); put it into single quotes",
        ) from None


async def publish(broker: Broker, topic: str, payload: str) -> None:
    """Publish it and wait until the broker has it. Raises ``BrokerError``."""
    await check_reachable(broker)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiomqtt.Client(
                broker.host, broker.port, username=broker.username, password=broker.password
            ) as client,
        ):
            await client.publish(topic, payload, qos=1)
    except (aiomqtt.MqttError, TimeoutError) as error:
        raise BrokerError(str(broker), f"did not take it: {error or 'no answer in time'}") from None
