"""Why: decisions and the agents that carry them out.

`streams.engine` turns Kafka partitions into record batches and acknowledges them; `streams.roles` are the workers;
pure decisions (windows, alerts) know neither Kafka nor a clock. Sinks are seen through `sinks.outcomes` and
`sinks.ports` only.
"""
