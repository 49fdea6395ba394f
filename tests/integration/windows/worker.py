"""A windows worker for tests, without registry and database: `python -m tests.integration.windows.worker JSON`."""

import json
import sys
import time

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

from schemas.avro import SCHEMA_NAMES, AvroCodec
from streams.alerts.role import WindowsPartitions, WindowsRole
from streams.alerts.rules import shipped_rules
from streams.engine.app import build_app
from streams.engine.driver import MemoryLetters
from streams.engine.settings import EngineSettings
from streams.engine.worker import run
from streams.windows.tables import ALERTS_TABLE, PANES_TABLE
from topics.publisher import Publisher
from topics.registry import PROGRESS, cdc_topic

CODEC = AvroCodec({name: number for number, name in enumerate(SCHEMA_NAMES, start=1)})
CDC_PARTITIONS = 4
INPUTS = (cdc_topic("push_message_logs"), cdc_topic("dispatch_attempts"), PROGRESS)


def main(told):
    servers, group, time_scale = told["bootstrap_servers"], told["group"], told["time_scale"]
    made = []

    async def open_consumer():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=servers, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )  # fmt: skip
        await consumer.start()
        return consumer

    def tables(app):
        def table(name, partitions):
            return app.Table(name, partitions=partitions, key_type=bytes, value_type=bytes)

        made.append(
            WindowsRole(
                shipped_rules(time_scale),
                group_id=group,
                partitions=WindowsPartitions(cdc=CDC_PARTITIONS, progress=1, alerts=1),
                panes=table(PANES_TABLE, CDC_PARTITIONS),
                states=table(ALERTS_TABLE, 1),
                publisher=Publisher(Producer({"bootstrap.servers": servers, "acks": "all", "linger.ms": 0})),
                codec=CODEC,
                open_consumer=open_consumer,
                now_ms=lambda: time.time_ns() // 1_000_000,
            )
        )

    def forward(topic):
        async def handle(batch):
            return await made[0].inputs[topic](batch)

        return handle

    async def background():
        await made[0].background()

    settings = EngineSettings(
        role="windows", group_id=group, bootstrap_servers=servers, version="test", commit_interval_s=0.2,
        session_timeout_s=told.get("session_timeout_s", 6.0), watchdog_s=0,
    )  # fmt: skip
    app = build_app(
        settings, inputs={topic: forward(topic) for topic in INPUTS}, dead_letters=MemoryLetters(),
        background=(background,), tables=tables,
    )  # fmt: skip
    return run(app)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
