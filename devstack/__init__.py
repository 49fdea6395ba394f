"""Infrastructure for a laptop and for tests: PostgreSQL, a broker, a schema registry, real Kafka, Debezium.

Production code never imports this package (an import contract holds it). Nothing here keeps state beyond
the directory it is given, listens anywhere but on loopback, or outlives the process that started it.
"""
