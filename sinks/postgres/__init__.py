"""PostgreSQL as the place where things happen once: events, marks, dispatch rows and notify jobs.

Every module here is one store of `streams.roles.ports`, written as whole batches of SQL; statements longer than three
lines stand in .sql files of the same name. What a row's fate means is decided in `streams.roles`, never here.
"""
