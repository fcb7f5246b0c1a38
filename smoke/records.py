"""What Kafka holds of some reports, and how far the consumers are, asked in a consumer's pod."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inventory.fixai import CONSUMED, TOPICS
from smoke.cluster import python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.model import Site
    from smoke.access import Access

ASKED_IN = "description"
"""It is admitted to Kafka, and has a client of it."""

# The values are read as JSON by their field alone: the suite knows FixAI from outside.
_SCRIPT = """
import asyncio, json, sys
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

SERVERS = "kafka:9092"
FIRST, GROUPS, WANTED = sys.argv[1], sys.argv[2].split(","), set(sys.argv[3:])

async def main():
    consumer = AIOKafkaConsumer(bootstrap_servers=SERVERS, enable_auto_commit=False)
    await consumer.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVERS)
    await admin.start()
    told = {"records": {}, "dead": {}, "lag": {}}
    read = [n for n in await admin.list_topics() if n == FIRST or n.endswith(".dead")]
    parts = [
        TopicPartition(topic["topic"], part["partition"])
        for topic in await admin.describe_topics(read)
        for part in topic["partitions"]
    ]
    ends = await consumer.end_offsets(parts)
    consumer.assign(parts)
    for part, first in (await consumer.beginning_offsets(parts)).items():
        consumer.seek(part, first)
    open_ = {part for part in parts if ends[part] > await consumer.position(part)}
    while open_:
        for part, records in (await consumer.getmany(timeout_ms=1000)).items():
            for record in records:
                about = str(json.loads(record.value or b"{}").get("report_id"))
                if about in WANTED and part.topic == FIRST:
                    told["records"][about] = told["records"].get(about, 0) + 1
                elif about in WANTED:
                    told["dead"].setdefault(about, []).append(part.topic)
        open_ = {part for part in open_ if await consumer.position(part) < ends[part]}
    for group in GROUPS:
        committed = await admin.list_consumer_group_offsets(group)
        last = await consumer.end_offsets(list(committed))
        told["lag"][group] = sum(max(0, last[part] - at.offset) for part, at in committed.items())
    await admin.close()
    await consumer.stop()
    print(json.dumps(told))

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Records:
    """What Kafka tells.

    Attributes:
        counts: how often each report was published, by id; those that were not are left out.
        dead: in which topics of dead letters a report lies, by id.
        lag: events that wait for a consumer, by its name.
        fault: why nobody knows; empty where it was told.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""


async def records_of(site: Site, access: Access, ids: Sequence[str]) -> Records:
    """What there is of the reports of these ids."""
    said, fault = await python(
        access, site, ASKED_IN, _SCRIPT, [TOPICS[0], ",".join(CONSUMED), *ids]
    )
    if fault:
        return Records(fault=fault)
    return Records(said["records"], said["dead"], said["lag"])
