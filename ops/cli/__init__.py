"""The verbs of `./bongsu`: parsing and printing only, each verb calls a function that others can call too.

Heavy modules (Kafka and PostgreSQL clients, Faust) are imported inside the verb that needs them, so that
`--help` answers at once.
"""
