"""Whence: PostgreSQL's write-ahead log to cdc topics, and the sweeper that repairs what the log cannot show.

Pure: `pgoutput` (frames to messages), `encoding` (column text to JSON), `envelope` (rows to Debezium events),
`position` (what may be confirmed), `refusals` (what a refused row becomes). I/O: `replication`, `slot`,
`stream`, `relay`, `sweeper`, `progress`. `outbox` is the one function that producers call.
"""
